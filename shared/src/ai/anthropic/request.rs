//! A request for a message ([reference](https://docs.anthropic.com/en/api/messages)).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ai::breakpoints::Breakpoints;
use crate::ai::call_ids::{AcceptedIds, CallIds};
use crate::ai::options::Thinking;
use crate::ai::texts::is_readable;
use crate::ai::{Failure, Format, JsonSchema, Prompt, Tool, ToolChoice};
use crate::values::{
    CacheTtl, Part, Picture, Reasoning, Speaker, ToolCall, Turn, TurnBlock, lacks_arguments,
};

/// The maximum number of model tokens in an answer if the prompt doesn't set one. The API requires
/// a number.
const MOST: u32 = 1024;

#[derive(Serialize)]
pub struct MessagesRequest<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<ThinkingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Input<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
}

/// The end of a part of the prompt that the provider caches
/// ([reference](https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching)).
#[derive(Clone, Copy, Serialize)]
struct CacheControl {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

impl From<CacheTtl> for CacheControl {
    fn from(ttl: CacheTtl) -> Self {
        let ttl = match ttl {
            // The default. Older servers don't know the field.
            CacheTtl::FiveMinutes => None,
            CacheTtl::OneHour => Some("1h"),
        };
        Self { r#type: "ephemeral", ttl }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Source<'a> {
    Base64 { media_type: String, data: &'a str },
    Url { url: &'a str },
}

/// A call's arguments. The API requires an object.
#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Object(&'a RawValue),
    Whole { arguments: &'a str },
    Empty {},
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "<[Box<RawValue>]>::is_empty")]
    input_examples: &'a [Box<RawValue>],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    eager_input_streaming: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum InputSchema<'a> {
    AnyObject { r#type: &'static str },
    Schema(Cow<'a, RawValue>),
}

#[derive(Serialize)]
struct Choice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

#[derive(Serialize)]
struct ThinkingConfig {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display: Option<&'static str>,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat<'a>>,
}

#[derive(Serialize)]
struct OutputFormat<'a> {
    r#type: &'static str,
    schema: &'a RawValue,
}

impl<'a> MessagesRequest<'a> {
    /// Creates a request for this prompt.
    ///
    /// # Errors
    /// Returns an error if a schema can't be written.
    pub fn of(prompt: &'a Prompt, model: &'a str, stream: bool) -> Result<Self, Failure> {
        let mut cache = Breakpoints::of(prompt);
        let tools: Result<Vec<Function<'a>>, Failure> =
            prompt.tools.iter().map(|tool| Function::of(tool, &mut cache)).collect();
        let (system, messages) = split(prompt, &mut cache);
        // The API accepts temperatures up to 1, whereas other providers accept temperatures up to
        // 2. A model that thinks accepts neither a temperature nor `top_k`.
        let temperature = prompt.temperature.map(|temperature| temperature.min(1.0));
        let is_visible = |text: &&str| !text.trim().is_empty();
        Ok(Self {
            model,
            max_tokens: prompt.max_tokens.unwrap_or(MOST),
            system,
            messages,
            stream,
            temperature: temperature.filter(|_| !prompt.thinks()),
            top_p: prompt.top_p,
            top_k: prompt.options.top_k.filter(|_| !prompt.thinks()),
            // The API refuses a blank stop sequence.
            stop_sequences: prompt.stop.iter().map(String::as_str).filter(is_visible).collect(),
            tools: tools?,
            tool_choice: Choice::of(prompt),
            thinking: ThinkingConfig::of(prompt),
            output_config: OutputConfig::of(prompt),
            cache_control: cache.next(prompt.cache).map(CacheControl::from),
        })
    }
}

impl ThinkingConfig {
    fn of(prompt: &Prompt) -> Option<Self> {
        let thinking = prompt.anthropic_thinking()?;
        let budget_tokens = match thinking {
            Thinking::Enabled { budget } => Some(budget),
            _ => None,
        };
        let display = prompt.options.display.filter(|_| prompt.thinks()).map(Into::into);
        Some(Self { r#type: thinking.kind(), budget_tokens, display })
    }
}

impl<'a> OutputConfig<'a> {
    fn of(prompt: &'a Prompt) -> Option<Self> {
        let effort: Option<&'static str> = prompt.options.anthropic_effort().map(Into::into);
        let schema = match &prompt.format {
            Some(Format::JsonSchema(named)) => named.schema.as_ref(),
            _ => None,
        };
        let format =
            schema.map(|schema| OutputFormat { r#type: "json_schema", schema: schema.json() });
        (effort.is_some() || format.is_some()).then_some(Self { effort, format })
    }
}

impl<'a> Choice<'a> {
    /// Returns `None` for the models' default.
    fn of(prompt: &'a Prompt) -> Option<Self> {
        if prompt.tools.is_empty() {
            return None;
        }
        let has_one_call = prompt.parallel_calls == Some(false);
        let (r#type, name) = match &prompt.tool_choice {
            ToolChoice::None => ("none", None),
            ToolChoice::Auto if !has_one_call => return None,
            ToolChoice::Auto => ("auto", None),
            ToolChoice::Required => ("any", None),
            ToolChoice::Function(name) => ("tool", Some(name.as_str())),
        };
        let disable_parallel_tool_use = has_one_call && prompt.tool_choice != ToolChoice::None;
        Some(Self { r#type, name, disable_parallel_tool_use })
    }
}

impl<'a> Function<'a> {
    fn of(tool: &'a Tool, cache: &mut Breakpoints) -> Result<Self, Failure> {
        let typed = tool.parameters.as_ref().map(JsonSchema::typed).transpose();
        let typed = typed.map_err(|error| Failure::failed(error.to_string()))?;
        Ok(Self {
            name: &tool.name,
            description: tool.description.as_deref().filter(|text| !text.trim().is_empty()),
            input_schema: typed
                .map_or(InputSchema::AnyObject { r#type: "object" }, InputSchema::Schema),
            strict: tool.strict.filter(|is_strict| *is_strict),
            input_examples: &tool.examples,
            eager_input_streaming: tool.streams_early,
            cache_control: cache.next(tool.cache).map(CacheControl::from),
        })
    }
}

/// Splits turns into the instructions before the conversation, and the conversation. The user must
/// speak first, so turns before the user's first message are left out. Adjacent turns of a speaker
/// become one message. Results of calls count as the user's, and must come first in a message.
fn split<'a>(prompt: &'a Prompt, cache: &mut Breakpoints) -> (Vec<Block<'a>>, Vec<Message<'a>>) {
    let mut system = Vec::new();
    let mut messages: Vec<Message<'_>> = Vec::new();
    let mut ids = CallIds::of(prompt, AcceptedIds::PlainAndUnique);
    for turn in &prompt.turns {
        let role = match turn.role {
            // Nothing may come between calls and their results.
            Speaker::System if messages.last().is_none_or(Message::awaits_results) => {
                system.extend(blocks(turn, &mut ids, cache));
                continue;
            }
            Speaker::System => "system",
            Speaker::Assistant | Speaker::Tool if messages.is_empty() => continue,
            Speaker::Assistant => "assistant",
            Speaker::User | Speaker::Tool => "user",
        };
        let blocks = blocks(turn, &mut ids, cache);
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.extend(blocks),
            _ if blocks.is_empty() => {}
            _ => messages.push(Message { role, content: blocks }),
        }
    }
    for message in &mut messages {
        message.content.sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
    }
    // The API refuses an answer to be continued that ends with white space.
    if let Some(Message { role: "assistant", content }) = messages.last_mut()
        && let Some(Block::Text { text: Cow::Borrowed(text), .. }) = content.last_mut()
    {
        *text = text.trim_end();
    }
    (system, messages)
}

impl Message<'_> {
    /// Returns true if the message calls functions. Their results come in the next message.
    fn awaits_results(&self) -> bool {
        self.content.iter().any(|block| matches!(block, Block::ToolUse { .. }))
    }
}

/// Converts a turn's blocks, in order.
fn blocks<'a>(turn: &'a Turn, ids: &mut CallIds<'a>, cache: &mut Breakpoints) -> Vec<Block<'a>> {
    if let Some(call) = &turn.answers {
        let parts = turn.content.iter();
        let mut content: Vec<Block<'a>> =
            parts.filter_map(|part| Block::of_part(part, None)).collect();
        // The API refuses a failure without content.
        if turn.has_failed && content.is_empty() {
            content.push(Block::Text { text: Cow::Borrowed("failed"), cache_control: None });
        }
        let (tool_use_id, is_error) = (ids.of_result(call), turn.has_failed);
        let cache_control = cache.next(turn.cache()).map(CacheControl::from);
        return vec![Block::ToolResult { tool_use_id, content, is_error, cache_control }];
    }
    let mut blocks = Vec::new();
    for (block, ttl) in turn.blocks() {
        let cache_control = cache.next(ttl).map(CacheControl::from);
        blocks.extend(match block {
            TurnBlock::Reasoning(part) => Block::of_reasoning(part),
            TurnBlock::Part(part) => Block::of_part(part, cache_control),
            TurnBlock::Call(call) => Some(Block::ToolUse {
                id: ids.of_call(&call.id),
                name: &call.name,
                input: Input::of(call),
                cache_control,
            }),
        });
    }
    // The API refuses a message that ends with reasoning.
    while blocks.pop_if(|block| block.is_reasoning()).is_some() {}
    blocks
}

impl<'a> Block<'a> {
    /// Returns `None` for blank text, which the API refuses.
    fn of_part(part: &'a Part, cache_control: Option<CacheControl>) -> Option<Self> {
        match part {
            Part::Text(text) if text.trim().is_empty() => None,
            Part::Text(text) => Some(Self::Text { text: Cow::Borrowed(text), cache_control }),
            Part::Picture(picture) => {
                Some(Self::Image { source: Source::of(picture), cache_control })
            }
        }
    }

    /// Returns the reasoning unchanged. `None` if no provider has signed or encrypted it, because
    /// models refuse such reasoning.
    fn of_reasoning(part: &'a Reasoning) -> Option<Self> {
        match (&part.signature, &part.encrypted) {
            (Some(signature), _) => Some(Self::Thinking { thinking: &part.text, signature }),
            (None, Some(data)) => Some(Self::RedactedThinking { data }),
            (None, None) => None,
        }
    }

    fn is_reasoning(&self) -> bool {
        matches!(self, Self::Thinking { .. } | Self::RedactedThinking { .. })
    }
}

impl<'a> Source<'a> {
    fn of(picture: &'a Picture) -> Self {
        match picture.encoded() {
            Some((kind, data)) => Self::Base64 { media_type: format!("image/{kind}"), data },
            None => Self::Url { url: picture.url() },
        }
    }
}

impl<'a> Input<'a> {
    fn of(call: &'a ToolCall) -> Self {
        let arguments = call.arguments.as_str();
        let json = serde_json::from_str::<&RawValue>(arguments).ok();
        let is_object = |json: &&RawValue| json.get().starts_with('{') && is_readable(json.get());
        match json.filter(is_object) {
            Some(object) => Self::Object(object),
            None if lacks_arguments(arguments) => Self::Empty {},
            None => Self::Whole { arguments },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ai::{Effort, Options};
    use crate::values::call_id::short;

    fn sent(prompt: &Prompt) -> Value {
        serde_json::to_value(MessagesRequest::of(prompt, "claude", false).unwrap()).unwrap()
    }

    /// Returns the messages that are sent for these turns.
    fn messages(turns: Vec<Turn>) -> Value {
        sent(&Prompt { turns, ..Prompt::default() })["messages"].take()
    }

    fn user(text: &str) -> Turn {
        Turn::new(Speaker::User, text)
    }

    fn result_of(call: &str, text: &str) -> Turn {
        Turn { answers: Some(call.into()), ..Turn::new(Speaker::Tool, text) }
    }

    fn called(calls: &[(&str, &str)]) -> Turn {
        let call = |(id, arguments): &(&str, &str)| ToolCall {
            id: (*id).into(),
            name: "f".into(),
            arguments: (*arguments).into(),
        };
        Turn {
            calls: calls.iter().map(call).collect(),
            ..Turn::with_content(Speaker::Assistant, vec![])
        }
    }

    #[test]
    fn results_come_first_and_speakers_alternate() {
        let turns = vec![
            Turn::new(Speaker::Assistant, "Welcome!"),
            user("Hi."),
            user(" "),
            user("Two calls, please."),
            called(&[("a.b", r#"{"x":1}"#), ("a.b", "")]),
            user("Well?"),
            result_of("a.b", "3"),
            Turn { has_failed: true, ..result_of("a.b", "") },
        ];
        let [first, second] = [1, 2].map(|number| short("a.b", number));
        let expected = json!([
            { "role": "user", "content": [
                { "type": "text", "text": "Hi." },
                { "type": "text", "text": "Two calls, please." },
            ] },
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": first, "name": "f", "input": { "x": 1 } },
                { "type": "tool_use", "id": second, "name": "f", "input": {} },
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": second, "content": [{ "type": "text", "text": "3" }] },
                { "type": "tool_result", "tool_use_id": second, "content": [{ "type": "text", "text": "failed" }], "is_error": true },
                { "type": "text", "text": "Well?" },
            ] },
        ]);
        assert_eq!(messages(turns), expected);
    }

    #[test]
    fn only_proven_reasoning_before_an_answer_is_sent() {
        let reasoning = vec![
            Reasoning { text: "Hm.".into(), signature: Some("s1".into()), encrypted: None },
            Reasoning { text: "Unsigned.".into(), ..Reasoning::default() },
            Reasoning { signature: Some("s2".into()), ..Reasoning::default() },
            Reasoning { encrypted: Some("e".into()), ..Reasoning::default() },
        ];
        let turn = |text: &str| Turn {
            reasoning: reasoning.clone(),
            ..Turn::new(Speaker::Assistant, text)
        };
        let content = &messages(vec![user("Hi."), turn("Hello.")])[1]["content"];
        let expected = json!([
            { "type": "thinking", "thinking": "Hm.", "signature": "s1" },
            { "type": "thinking", "thinking": "", "signature": "s2" },
            { "type": "redacted_thinking", "data": "e" },
            { "type": "text", "text": "Hello." },
        ]);
        assert_eq!(content, &expected);
        assert_eq!(messages(vec![user("Hi."), turn("")]).as_array().unwrap().len(), 1);
    }

    #[test]
    fn arguments_are_sent_as_an_object() {
        for (arguments, input) in [
            (r#"{"x": [1, "a"]}"#, json!({ "x": [1, "a"] })),
            (" ", json!({})),
            ("null", json!({})),
            (" null\n", json!({})),
            ("nullx", json!({ "arguments": "nullx" })),
            ("[1]", json!({ "arguments": "[1]" })),
            ("{\"x\": ", json!({ "arguments": "{\"x\": " })),
            (r#"{"x": "\ud800"}"#, json!({ "arguments": r#"{"x": "\ud800"}"# })),
            (r#"{"x": 1e999}"#, json!({ "arguments": r#"{"x": 1e999}"# })),
        ] {
            let sent = messages(vec![user("Hi."), called(&[("a", arguments)])]);
            assert_eq!(sent[1]["content"][0]["input"], input, "{arguments}");
        }
    }

    #[test]
    fn thinking_needs_room_and_no_temperature() {
        let sent = |thinking: Option<Thinking>, effort: Option<Effort>, most: u32| {
            let options = Options { thinking, effort, ..Options::default() };
            let (temperature, max_tokens) = (Some(1.5), Some(most));
            let sent = sent(&Prompt { options, temperature, max_tokens, ..Prompt::default() });
            [&sent["thinking"], &sent["temperature"], &sent["output_config"]["effort"]]
                .map(Value::clone)
        };
        let enabled = |budget: u32| Some(Thinking::Enabled { budget });
        let (none, warm) = (Value::Null, json!(1.0));
        let thinks = json!({ "type": "enabled", "budget_tokens": 1024 });
        assert_eq!(sent(enabled(1024), None, 1025), [thinks, none.clone(), none.clone()]);
        assert_eq!(sent(enabled(1024), None, 1024), [none.clone(), warm.clone(), none.clone()]);
        assert_eq!(sent(enabled(1023), None, 2000), [none.clone(), warm.clone(), none.clone()]);
        let adaptive = json!({ "type": "adaptive" });
        let deep = sent(Some(Thinking::Adaptive), Some(Effort::XHigh), 9);
        assert_eq!(deep, [adaptive, none.clone(), json!("xhigh")]);
        let disabled = json!({ "type": "disabled" });
        assert_eq!(sent(None, Some(Effort::None), 9), [disabled, warm.clone(), none.clone()]);
        let adaptive = json!({ "type": "adaptive" });
        assert_eq!(sent(None, Some(Effort::Minimal), 9), [adaptive, none.clone(), json!("low")]);
        assert_eq!(sent(None, None, 9), [none.clone(), warm, none]);
    }

    #[test]
    fn a_series_of_calls_without_its_reasoning_is_continued_without() {
        let part = |signature: Option<&str>, encrypted: Option<&str>| Reasoning {
            text: "Hm.".into(),
            signature: signature.map(str::to_owned),
            encrypted: encrypted.map(str::to_owned),
        };
        let thinks = |reasoning: Vec<Reasoning>, rest: Vec<Turn>, thinking: Thinking| {
            let call = Turn { reasoning, ..called(&[("a", "{}")]) };
            let turns = [vec![user("Hi."), call, result_of("a", "1")], rest].concat();
            let options = Options { thinking: Some(thinking), ..Options::default() };
            let max_tokens = Some(2000);
            let prompt = Prompt { turns, options, max_tokens, ..Prompt::default() };
            assert_eq!(prompt.without_reasoning().thinks(), thinking == Thinking::Adaptive);
            sent(&prompt)["thinking"].is_object()
        };
        let budget = Thinking::Enabled { budget: 1024 };
        let again = || vec![called(&[("b", "{}")]), result_of("b", "1"), user("Be quick.")];
        for rest in [vec![], vec![user("Be quick.")], again()] {
            assert!(thinks(vec![part(Some("s"), None)], rest.clone(), budget));
            assert!(thinks(vec![part(None, Some("e"))], rest.clone(), budget));
            assert!(!thinks(vec![part(None, None)], rest.clone(), budget));
            assert!(thinks(vec![], rest, Thinking::Adaptive));
        }
    }

    #[test]
    fn choices_of_functions_are_translated() {
        let tool = Tool { name: "f".into(), ..Tool::default() };
        let choice = |tool_choice: ToolChoice, parallel_calls: Option<bool>| {
            let tools = vec![tool.clone()];
            sent(&Prompt { tools, tool_choice, parallel_calls, ..Prompt::default() })["tool_choice"]
                .take()
        };
        let one = Some(false);
        assert_eq!(choice(ToolChoice::Auto, None), Value::Null);
        assert_eq!(choice(ToolChoice::Auto, Some(true)), Value::Null);
        let limited = json!({ "type": "auto", "disable_parallel_tool_use": true });
        assert_eq!(choice(ToolChoice::Auto, one), limited);
        assert_eq!(choice(ToolChoice::None, one), json!({ "type": "none" }));
        assert_eq!(choice(ToolChoice::Required, None), json!({ "type": "any" }));
        let named = json!({ "type": "tool", "name": "f", "disable_parallel_tool_use": true });
        assert_eq!(choice(ToolChoice::Function("f".into()), one), named);
    }
}
