//! A request for a chat completion
//! ([reference](https://platform.openai.com/docs/api-reference/chat/create)).

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ai::{AnswerSchema, Format, JsonSchema, Prompt, Tool, ToolChoice};
use crate::values::{Part, Speaker, ToolCall, Turn};

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
    tool_call_id: Option<&'a str>,
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

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
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
    description: Option<&'a str>,
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
    pub fn of(prompt: &'a Prompt, model: &'a str, is_openai: bool, stream: bool) -> Self {
        let has_tools = !prompt.tools.is_empty();
        Self {
            model,
            messages: prompt.turns.iter().map(Message::of).collect(),
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

impl<'a> Message<'a> {
    fn of(turn: &'a Turn) -> Self {
        Self {
            role: match turn.role {
                Speaker::System => "system",
                Speaker::User => "user",
                Speaker::Assistant => "assistant",
                Speaker::Tool => "tool",
            },
            content: Content::of(turn),
            tool_calls: turn.calls.iter().map(Call::of).collect(),
            tool_call_id: turn.answers.as_deref(),
        }
    }
}

impl<'a> Content<'a> {
    fn of(turn: &'a Turn) -> Option<Self> {
        if !turn.content.iter().any(|part| matches!(part, Part::Picture(_))) {
            let text = turn.text();
            return (!text.is_empty() || turn.calls.is_empty()).then_some(Self::Text(text));
        }
        let part = |part: &'a Part| match part {
            Part::Text(text) => ContentPart::Text { text },
            Part::Picture(picture) => {
                let (url, detail) = (picture.url(), picture.detail());
                ContentPart::ImageUrl { image_url: ImageUrl { url, detail } }
            }
        };
        Some(Self::Parts(turn.content.iter().map(part).collect()))
    }
}

impl<'a> Call<'a> {
    fn of(call: &'a ToolCall) -> Self {
        let called = CalledFunction { name: &call.name, arguments: &call.arguments };
        Self { id: &call.id, call: FunctionObject::function(called) }
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
            description: tool.description.as_deref(),
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
