//! A request for a chat completion
//! ([reference](https://platform.openai.com/docs/api-reference/chat/create)).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ai::call_ids::CallIds;
use crate::ai::openai::Host;
use crate::ai::prompt::FAILED_CALL;
use crate::ai::{AnswerSchema, Format, JsonSchema, Prompt, Tool, ToolChoice};
use crate::values::{Part, Picture, Speaker, ToolCall, Turn};

#[derive(Serialize)]
pub struct CompletionRequest<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    /// Newer OpenAI models refuse this field; other servers don't support its newer name,
    /// `max_completion_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<FunctionObject<Function<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    /// An extension of vLLM and Ollama; OpenAI's own API refuses this field.
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u32>,
    /// An extension of vLLM, as is `repetition_penalty`.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repetition_penalty: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    logit_bias: &'a BTreeMap<String, f64>,
    /// Sent only to OpenAI itself, because other servers may refuse it, and it doesn't change the
    /// answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: NamedSchema<'a> },
}

#[derive(Serialize)]
struct NamedSchema<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    /// Null for a message that contains calls but no text.
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
    /// The reasoning before an earlier answer, in the field in which most servers send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
}

/// A string, or a list of text and picture parts. Some servers accept only strings.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

impl<'a> ContentPart<'a> {
    fn of_picture(picture: &'a Picture) -> Self {
        let (url, detail) = (picture.url(), picture.detail());
        Self::ImageUrl { image_url: ImageUrl { url, detail } }
    }
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: Cow<'a, str>,
    #[serde(flatten)]
    call: FunctionObject<CalledFunction<'a>>,
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// `{"type": "function", "function": ..}`.
#[derive(Serialize)]
struct FunctionObject<F> {
    r#type: &'static str,
    function: F,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Function(FunctionObject<NamedFunction<'a>>),
}

#[derive(Serialize)]
struct NamedFunction<'a> {
    name: &'a str,
}

impl<'a> CompletionRequest<'a> {
    pub fn of(prompt: &'a Prompt, model: &'a str, host: Host, stream: bool) -> Self {
        let is_openai = host == Host::OpenAi;
        let has_tools = !prompt.tools.is_empty();
        Self {
            model,
            messages: messages(prompt, host),
            stream,
            stream_options: stream.then_some(StreamOptions { include_usage: true }),
            max_tokens: prompt.max_tokens.filter(|_| !is_openai),
            max_completion_tokens: prompt.max_tokens.filter(|_| is_openai),
            temperature: prompt.temperature,
            top_p: prompt.top_p,
            stop: &prompt.stop,
            tools: prompt.tools.iter().map(Function::of).collect(),
            tool_choice: Choice::of(&prompt.tool_choice).filter(|_| has_tools),
            parallel_tool_calls: prompt.parallel_calls.filter(|_| has_tools),
            response_format: prompt.format.as_ref().map(ResponseFormat::of),
            reasoning_effort: prompt.options.effort_alone().map(|(_, effort)| effort.into()),
            verbosity: prompt.options.verbosity.map(Into::into),
            seed: prompt.options.seed,
            top_k: prompt.options.top_k,
            min_p: prompt.options.min_p,
            presence_penalty: prompt.options.presence_penalty,
            frequency_penalty: prompt.options.frequency_penalty,
            repetition_penalty: prompt.options.repetition_penalty,
            logit_bias: &prompt.options.logit_bias,
            prompt_cache_key: prompt.options.cache_key.as_deref().filter(|_| is_openai),
        }
    }
}

impl<'a> ResponseFormat<'a> {
    fn of(format: &'a Format) -> Self {
        match format {
            Format::JsonObject => Self::JsonObject,
            Format::JsonSchema(AnswerSchema { name, description, schema, strict }) => {
                let (description, strict) = (description.as_deref(), *strict);
                let schema = schema.as_ref().map(JsonSchema::json);
                Self::JsonSchema { json_schema: NamedSchema { name, description, schema, strict } }
            }
        }
    }
}

/// Converts the turns. Servers accept pictures only from the user, so a message of the user's with
/// the pictures follows the results that contain them.
fn messages(prompt: &Prompt, host: Host) -> Vec<Message<'_>> {
    let mut messages = Vec::new();
    let mut pictures = Vec::new();
    let mut ids = CallIds::of(prompt, host.accepted_ids());
    for turn in &prompt.turns {
        if turn.role != Speaker::Tool {
            messages.extend(Message::with_pictures(&mut pictures));
        }
        messages.push(Message::of(turn, &mut ids, host));
        if turn.role == Speaker::Tool {
            pictures.extend(turn.content.iter().filter_map(Part::as_picture));
        }
    }
    messages.extend(Message::with_pictures(&mut pictures));
    messages
}

/// The text before the pictures in the results of calls.
const BEFORE_PICTURES: &str = "The pictures in the results of the calls:";

impl<'a> Message<'a> {
    /// Returns a message with these pictures, and removes them from the list. `None` if the list is
    /// empty.
    fn with_pictures(pictures: &mut Vec<&'a Picture>) -> Option<Self> {
        if pictures.is_empty() {
            return None;
        }
        let parts = pictures.drain(..).map(ContentPart::of_picture);
        let parts =
            [ContentPart::Text { text: BEFORE_PICTURES }].into_iter().chain(parts).collect();
        Some(Self {
            role: "user",
            content: Some(Content::Parts(parts)),
            tool_calls: Vec::new(),
            tool_call_id: None,
            reasoning_content: None,
        })
    }

    fn of(turn: &'a Turn, ids: &mut CallIds<'a>, host: Host) -> Self {
        let reasoning: String = turn.reasoning.iter().map(|part| part.text.as_str()).collect();
        Self {
            role: match turn.role {
                Speaker::System => "system",
                Speaker::User => "user",
                Speaker::Assistant => "assistant",
                Speaker::Tool => "tool",
            },
            content: Content::of(turn),
            tool_calls: turn.calls.iter().map(|call| Call::of(call, ids)).collect(),
            tool_call_id: turn.answers.as_deref().map(|id| ids.of_result(id)),
            // OpenAI's own API refuses this field (`OpenAi::takes_reasoning`).
            reasoning_content: Some(reasoning)
                .filter(|text| !text.is_empty() && host != Host::OpenAi),
        }
    }
}

impl<'a> Content<'a> {
    fn of(turn: &'a Turn) -> Option<Self> {
        // A result's pictures follow in a message of the user's.
        if turn.role == Speaker::Tool
            || !turn.content.iter().any(|part| matches!(part, Part::Picture(_)))
        {
            let text = match turn.has_failed {
                true => {
                    Cow::Owned(format!("{FAILED_CALL}\n{}", turn.words()).trim_end().to_owned())
                }
                false => turn.words(),
            };
            return (!text.is_empty() || turn.calls.is_empty()).then_some(Self::Text(text));
        }
        let part = |part: &'a Part| match part {
            Part::Text(text) => ContentPart::Text { text },
            Part::Picture(picture) => ContentPart::of_picture(picture),
        };
        Some(Self::Parts(turn.content.iter().map(part).collect()))
    }
}

impl<'a> Call<'a> {
    fn of(call: &'a ToolCall, ids: &mut CallIds<'a>) -> Self {
        let called = CalledFunction { name: &call.name, arguments: &call.arguments };
        Self { id: ids.of_call(&call.id), call: FunctionObject::function(called) }
    }
}

impl<F> FunctionObject<F> {
    fn function(function: F) -> Self {
        Self { r#type: "function", function }
    }
}

impl<'a> Function<'a> {
    fn of(tool: &'a Tool) -> FunctionObject<Self> {
        FunctionObject::function(Self {
            name: &tool.name,
            description: tool.described(),
            parameters: tool.parameters.as_ref().map(JsonSchema::json),
            strict: tool.strict,
        })
    }
}

impl<'a> Choice<'a> {
    /// Returns `None` if the model's default applies.
    fn of(choice: &'a ToolChoice) -> Option<Self> {
        match choice {
            ToolChoice::Auto => None,
            ToolChoice::None => Some(Self::Word("none")),
            ToolChoice::Required => Some(Self::Word("required")),
            ToolChoice::Function(name) => {
                Some(Self::Function(FunctionObject::function(NamedFunction { name })))
            }
        }
    }
}
