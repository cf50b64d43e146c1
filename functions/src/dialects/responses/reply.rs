//! A complete response
//! ([reference](https://platform.openai.com/docs/api-reference/responses/object)).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use shared::ai::{AnswerSchema, Effort, Format, JsonSchema, Tool, Verbosity};
use shared::values::{self, Chat, CutReason};
use utoipa::ToSchema;

use super::items::{Item, Source, Status, items};
use super::tools::{self, Choice};
use crate::dialects::programs::custom::{CustomTool, CustomTools, Grammar};
use crate::dialects::programs::null;

/// The fields of the request that the response repeats.
pub(crate) struct RepeatedFields {
    pub(super) instructions: Option<String>,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) parallel_tool_calls: bool,
    pub(super) temperature: Option<f64>,
    pub(super) format: Option<Format>,
    pub(super) effort: Option<Effort>,
    pub(super) summary: Option<String>,
    pub(super) verbosity: Option<Verbosity>,
    pub(super) tool_choice: Choice,
    pub(super) tools: Vec<Tool>,
    pub(super) custom: CustomTools,
    pub(super) top_p: Option<f64>,
    pub(super) user: Option<String>,
}

/// A response.
#[derive(Serialize, ToSchema)]
#[schema(as = OpenAiResponse)]
pub(crate) struct Response<'a> {
    /// `resp_` followed by the id of the message.
    #[schema(examples("resp_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: String,
    /// Always `response`.
    #[schema(pattern = "^response$", examples("response"))]
    object: &'static str,
    /// When the message was sent, in seconds since 1970.
    #[schema(examples(1_795_132_800))]
    created_at: u64,
    /// The status of the response.
    status: Status,
    /// The reason for a failure, in the last event of a stream. Null otherwise.
    #[schema(required)]
    error: Option<Failed>,
    /// The reason why the answer is cut off. Null if the answer is complete.
    #[schema(required)]
    incomplete_details: Option<IncompleteDetails>,
    /// The model.
    #[schema(examples("echo"))]
    model: &'a str,
    /// The answer: messages, calls of functions and custom tools, and the model's reasoning, in the
    /// order in which the model wrote them.
    output: Vec<Item<'a>>,
    /// The model's token counts. Null until the answer is complete.
    #[schema(required)]
    usage: Option<Usage>,
    /// Always false: no response is stored for later requests.
    store: bool,
    /// Always null.
    #[schema(schema_with = null)]
    previous_response_id: (),
    /// Always `disabled`: a prompt that is too long is refused.
    #[schema(pattern = "^disabled$", examples("disabled"))]
    truncation: &'static str,
    /// The model's reasoning options.
    reasoning: Reasoning<'a>,
    /// The format of the answer.
    text: TextOptions<'a>,
    /// The value of this field in the request.
    #[schema(required)]
    instructions: Option<&'a str>,
    /// The value of this field in the request.
    #[schema(required)]
    max_output_tokens: Option<u32>,
    /// The value of this field in the request.
    #[schema(value_type = BTreeMap<String, String>)]
    metadata: &'a BTreeMap<String, String>,
    /// The value of this field in the request; by default true.
    parallel_tool_calls: bool,
    /// The value of this field in the request.
    #[schema(required)]
    temperature: Option<f64>,
    /// The value of this field in the request; by default `auto`.
    #[schema(value_type = Choice)]
    tool_choice: &'a Choice,
    /// The tools in the request, without those that `tool_choice` excludes.
    #[schema(value_type = Vec<tools::OfferedTool>)]
    tools: Vec<OfferedTool<'a>>,
    /// The value of this field in the request.
    #[schema(required)]
    top_p: Option<f64>,
    /// The value of this field in the request.
    #[schema(required)]
    user: Option<&'a str>,
}

/// The reason why there is no answer.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseFailure)]
struct Failed {
    /// Always `server_error`. The preceding `error` event contains the exact code.
    #[schema(pattern = "^server_error$", examples("server_error"))]
    code: &'static str,
    /// A human-readable sentence that describes the failure and what to do.
    message: String,
}

/// The reason why an answer is cut off.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseIncompleteDetails)]
struct IncompleteDetails {
    /// `max_output_tokens` if the answer reached its maximum length or its time limit;
    /// `content_filter` if the provider's filter ended it.
    #[schema(pattern = "^(max_output_tokens|content_filter)$", examples("max_output_tokens"))]
    reason: &'static str,
}

/// The model's token counts; estimates if the provider doesn't report any.
#[derive(Serialize, ToSchema)]
#[schema(as = ResponseUsage)]
struct Usage {
    /// The number of tokens in the prompt.
    #[schema(examples(9))]
    input_tokens: u32,
    /// Details about the prompt's tokens.
    input_tokens_details: InputTokens,
    /// The number of tokens in the answer.
    #[schema(examples(12))]
    output_tokens: u32,
    /// Details about the answer's tokens.
    output_tokens_details: OutputTokens,
    /// The sum of both.
    #[schema(examples(21))]
    total_tokens: u64,
    /// The price of the response, in money. Missing unless the price list says what the product's
    /// tokens cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(0.0005))]
    cost: Option<f64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResponseInputTokens)]
struct InputTokens {
    /// The number of tokens that were read from the provider's cache.
    #[schema(examples(0))]
    cached_tokens: u32,
    /// The number of tokens that were written into the provider's cache.
    #[schema(examples(0))]
    cache_write_tokens: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResponseOutputTokens)]
struct OutputTokens {
    /// The number of tokens that the model used to reason.
    #[schema(examples(0))]
    reasoning_tokens: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResponseReasoning)]
struct Reasoning<'a> {
    /// The value of this field in the request.
    #[schema(required, examples("low"))]
    effort: Option<&'static str>,
    /// The value of this field in the request.
    #[schema(required, examples("auto"))]
    summary: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ResponseTextOptions)]
struct TextOptions<'a> {
    /// The value of this field in the request; by default `text`.
    format: TextFormat<'a>,
    /// The value of this field in the request; by default `medium`.
    #[schema(pattern = "^(low|medium|high)$", examples("medium"))]
    verbosity: &'static str,
}

/// The format of an answer. A `json_schema` format includes the schema.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ResponseFormatOption)]
struct TextFormat<'a> {
    #[schema(pattern = "^(text|json_object|json_schema)$", examples("text"))]
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// A tool that the request offers.
#[derive(Serialize)]
#[serde(untagged)]
enum OfferedTool<'a> {
    Function(OfferedFunction<'a>),
    Custom(OfferedCustomTool<'a>),
}

/// A custom tool that the request offers.
#[derive(Serialize)]
struct OfferedCustomTool<'a> {
    /// Always `custom`.
    r#type: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// The value of this field in the request; by default `text`.
    format: CustomFormat<'a>,
}

/// The format of a custom tool's text. A `grammar` includes its syntax and definition.
#[derive(Serialize)]
struct CustomFormat<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    syntax: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    definition: Option<&'a str>,
}

/// A function that the request offers.
#[derive(Serialize)]
struct OfferedFunction<'a> {
    /// Always `function`.
    r#type: &'static str,
    name: &'a str,
    description: Option<&'a str>,
    parameters: Option<&'a RawValue>,
    strict: Option<bool>,
}

impl<'a> Response<'a> {
    /// Returns the response for a stored answer.
    pub(super) fn of(chat: &'a Chat, repeated: &'a RepeatedFields) -> Self {
        Self::in_order(chat, &chat.reasoning, &Source::all(chat, &repeated.custom), repeated)
    }

    /// Returns the response for a stored answer and this reasoning before it. The items are in the
    /// order of `sources`.
    pub(super) fn in_order(
        chat: &'a Chat,
        reasoning: &'a [values::Reasoning],
        sources: &[Source],
        repeated: &'a RepeatedFields,
    ) -> Self {
        Self {
            status: if chat.cut.is_some() { Status::Incomplete } else { Status::Completed },
            incomplete_details: chat.cut.map(IncompleteDetails::of),
            output: items(chat, reasoning, sources),
            usage: Some(Usage::of(chat)),
            ..Self::begun(&chat.chat_id, chat.model_name(), chat.time / 1000, repeated)
        }
    }

    /// Returns the response that begins a stream. It doesn't contain any items yet.
    pub(super) fn begun(
        chat_id: &str,
        model: &'a str,
        created_at: u64,
        repeated: &'a RepeatedFields,
    ) -> Self {
        Self {
            id: format!("resp_{chat_id}"),
            object: "response",
            created_at,
            status: Status::InProgress,
            error: None,
            incomplete_details: None,
            model,
            output: Vec::new(),
            usage: None,
            store: false,
            previous_response_id: (),
            truncation: "disabled",
            reasoning: Reasoning {
                effort: repeated.effort.map(Into::into),
                summary: repeated.summary.as_deref(),
            },
            text: TextOptions {
                format: TextFormat::of(repeated.format.as_ref()),
                verbosity: repeated.verbosity.unwrap_or(Verbosity::Medium).into(),
            },
            instructions: repeated.instructions.as_deref(),
            max_output_tokens: repeated.max_output_tokens,
            metadata: &repeated.metadata,
            parallel_tool_calls: repeated.parallel_tool_calls,
            temperature: repeated.temperature,
            tool_choice: &repeated.tool_choice,
            tools: OfferedTool::all(&repeated.tools, &repeated.custom),
            top_p: repeated.top_p,
            user: repeated.user.as_deref(),
        }
    }

    /// Returns this response with the status `failed`.
    pub(super) fn failed(self, message: String) -> Self {
        let error = Some(Failed { code: "server_error", message });
        Self { status: Status::Failed, error, ..self }
    }
}

impl IncompleteDetails {
    fn of(cut: CutReason) -> Self {
        Self {
            reason: match cut {
                CutReason::Length => "max_output_tokens",
                CutReason::ContentFilter => "content_filter",
            },
        }
    }
}

impl Usage {
    fn of(chat: &Chat) -> Self {
        let usage = chat.usage();
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputTokens {
                cached_tokens: usage.cached_tokens,
                cache_write_tokens: usage.written_tokens,
            },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputTokens { reasoning_tokens: usage.reasoning_tokens },
            total_tokens: u64::from(usage.prompt_tokens) + u64::from(usage.completion_tokens),
            cost: chat.cost_in_money(),
        }
    }
}

impl<'a> TextFormat<'a> {
    fn of(format: Option<&'a Format>) -> Self {
        match format {
            None => Self { r#type: "text", ..Self::default() },
            Some(Format::JsonObject) => Self { r#type: "json_object", ..Self::default() },
            Some(Format::JsonSchema(AnswerSchema { name, description, schema, strict })) => Self {
                r#type: "json_schema",
                name: Some(name),
                description: description.as_deref(),
                schema: schema.as_ref().map(JsonSchema::json),
                strict: *strict,
            },
        }
    }
}

impl<'a> OfferedTool<'a> {
    fn all(tools: &'a [Tool], custom: &'a CustomTools) -> Vec<Self> {
        let tool = |tool: &'a Tool| match custom.get(&tool.name) {
            Some(tool) => Self::Custom(OfferedCustomTool::of(tool)),
            None => Self::Function(OfferedFunction::of(tool)),
        };
        tools.iter().map(tool).collect()
    }
}

impl<'a> OfferedCustomTool<'a> {
    fn of(tool: &'a CustomTool) -> Self {
        let CustomTool { name, description, grammar } = tool;
        let format = match grammar {
            None => CustomFormat { r#type: "text", syntax: None, definition: None },
            Some(Grammar { syntax, definition }) => CustomFormat {
                r#type: "grammar",
                syntax: Some(syntax.word()),
                definition: Some(definition),
            },
        };
        Self { r#type: "custom", name, description: description.as_deref(), format }
    }
}

impl<'a> OfferedFunction<'a> {
    fn of(tool: &'a Tool) -> Self {
        Self {
            r#type: "function",
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.parameters.as_ref().map(JsonSchema::json),
            strict: tool.strict,
        }
    }
}
