//! Replies to `POST /v1/chat/completions`: a completion, or its chunks
//! ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).

use std::collections::BTreeSet;

use serde::Serialize;
use shared::ai::{CallPiece, Piece, ReasoningPiece};
use shared::http::Events;
use shared::values::idempotency::fingerprint;
use shared::values::{AnswerMark, Chat, FinishReason, ToolCall};
use shared::{Error, Result, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::reasoning::ReasoningDetail;
use crate::dialects::AnswerWriter;
use crate::dialects::openai::failures::OpenAiFailure;
use crate::dialects::openai::reasoning::ReasoningParts;
use crate::dialects::programs::custom::{CustomTools, input_of};
use crate::dialects::programs::null;

/// A completion.
#[derive(Serialize, ToSchema)]
pub(crate) struct Completion<'a> {
    /// `chatcmpl-` followed by the id of the message.
    #[schema(examples("chatcmpl-01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: String,
    /// Always `chat.completion`.
    #[schema(pattern = "^chat\\.completion$", examples("chat.completion"))]
    object: &'static str,
    /// When the message was sent, in seconds since 1970.
    #[schema(examples(1_795_132_800))]
    created: u64,
    /// The model.
    #[schema(examples("echo"))]
    model: &'a str,
    /// `fp_` and a hash of the model's name. All answers from a model have the same fingerprint, so
    /// it doesn't reveal the provider's changes to the model.
    #[schema(pattern = "^fp_[A-Za-z0-9_-]{10}$", examples("fp_CSx56PgOVZ"))]
    system_fingerprint: String,
    /// Always one choice.
    #[schema(min_items = 1, max_items = 1)]
    choices: [Choice<'a>; 1],
    /// The model's token counts.
    usage: Usage,
}

/// A choice, which contains the answer.
#[derive(Serialize, ToSchema)]
struct Choice<'a> {
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    index: u32,
    /// The AI's message.
    message: AnswerMessage<'a>,
    /// Always null.
    #[schema(schema_with = null)]
    logprobs: (),
    /// The reason why the answer ended.
    finish_reason: FinishReason,
}

/// The AI's message.
#[derive(Serialize, ToSchema)]
struct AnswerMessage<'a> {
    /// Always `assistant`.
    #[schema(pattern = "^assistant$", examples("assistant"))]
    role: &'static str,
    /// The answer's text. An empty answer is charged like any other answer. Null if the model
    /// refuses to answer, or if the answer contains calls and no text.
    #[schema(required, examples("You said: Hello!"))]
    content: Option<&'a str>,
    /// The model's reasoning before its answer. Missing if the provider doesn't show any.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false, examples("The user greets me."))]
    reasoning_content: String,
    /// The reasoning part by part, with signatures. Missing if the provider has neither signed nor
    /// encrypted a part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, min_items = 1)]
    reasoning_details: Vec<ReasoningDetail<'a>>,
    /// The model's refusal to answer. Null for any other answer.
    #[schema(required)]
    refusal: Option<&'a str>,
    /// The functions and custom tools that the client should call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, min_items = 1)]
    tool_calls: Vec<AnswerCall<'a>>,
    /// The function that the client should call, if the request used `functions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    function_call: Option<AnswerFunction<'a>>,
}

/// A call of a function or a custom tool.
#[derive(Serialize, ToSchema)]
struct AnswerCall<'a> {
    /// The call's id. The message with the call's result must contain this id.
    #[schema(examples("call_0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"))]
    id: &'a str,
    /// `function` or `custom`.
    #[schema(pattern = "^(function|custom)$", examples("function"))]
    r#type: &'static str,
    /// The called function. Missing if the call is of a custom tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    function: Option<AnswerFunction<'a>>,
    /// The called custom tool. Missing if the call is of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    custom: Option<AnswerCustomTool<'a>>,
}

/// A function with its arguments.
#[derive(Serialize, ToSchema)]
struct AnswerFunction<'a> {
    /// The function's name.
    #[schema(examples("get_weather"))]
    name: &'a str,
    /// The arguments, usually as JSON.
    #[schema(examples(r#"{"city": "Paris"}"#))]
    arguments: &'a str,
}

/// A custom tool with the text for it.
#[derive(Serialize, ToSchema)]
struct AnswerCustomTool<'a> {
    /// The tool's name.
    #[schema(examples("apply_patch"))]
    name: &'a str,
    /// The text for the tool.
    #[schema(examples("*** Begin Patch"))]
    input: String,
}

impl<'a> AnswerFunction<'a> {
    fn of(call: &'a ToolCall) -> Self {
        Self { name: &call.name, arguments: &call.arguments }
    }
}

/// The model's token counts; estimates if the provider doesn't report any.
#[derive(Serialize, ToSchema)]
pub(crate) struct Usage {
    /// The number of tokens in the prompt.
    #[schema(examples(9))]
    prompt_tokens: u32,
    /// The number of tokens in the answer.
    #[schema(examples(12))]
    completion_tokens: u32,
    /// The sum of both.
    #[schema(examples(21))]
    total_tokens: u64,
    /// Details about the prompt's tokens. Missing if no tokens were read from the provider's cache
    /// or written into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prompt_tokens_details: Option<PromptTokens>,
    /// Details about the answer's tokens. Missing if the model didn't reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    completion_tokens_details: Option<CompletionTokens>,
    /// The price of the completion, in money. Missing unless the price list says what the product's
    /// tokens cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(0.0005))]
    cost: Option<f64>,
}

#[derive(Serialize, ToSchema)]
struct PromptTokens {
    /// The number of tokens that were read from the provider's cache.
    #[schema(examples(0))]
    cached_tokens: u32,
    /// The number of tokens that were written into the provider's cache. Missing if zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(100))]
    cache_write_tokens: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct CompletionTokens {
    /// The number of tokens that the model used to reason.
    #[schema(examples(0))]
    reasoning_tokens: u32,
}

/// An event of a streamed completion.
#[derive(Debug)]
pub struct ChunkEvent;

impl PartialSchema for ChunkEvent {
    fn schema() -> RefOr<Schema> {
        openapi::event(None, &[&Chunk::name(), &OpenAiFailure::name()], Some("[DONE]")).into()
    }
}

impl ToSchema for ChunkEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Chunk::name().into(), Chunk::schema()));
        <Chunk as ToSchema>::schemas(schemas);
    }
}

/// A chunk of a streamed completion.
#[derive(Serialize, ToSchema)]
#[schema(as = CompletionChunk)]
struct Chunk<'a> {
    /// `chatcmpl-` followed by the id of the message.
    #[schema(examples("chatcmpl-01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: &'a str,
    /// Always `chat.completion.chunk`.
    #[schema(pattern = "^chat\\.completion\\.chunk$", examples("chat.completion.chunk"))]
    object: &'static str,
    /// When the message was sent, in seconds since 1970.
    #[schema(examples(1_795_132_800))]
    created: u64,
    /// The model.
    #[schema(examples("echo"))]
    model: &'a str,
    /// `fp_` and a hash of the model's name. All answers from a model have the same fingerprint, so
    /// it doesn't reveal the provider's changes to the model.
    #[schema(pattern = "^fp_[A-Za-z0-9_-]{10}$", examples("fp_CSx56PgOVZ"))]
    system_fingerprint: String,
    /// One choice. The chunk with the usage has no choice.
    #[schema(max_items = 1)]
    choices: Vec<ChunkChoice<'a>>,
    /// The model's token counts, if the request asks for them. Null in all chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    usage: Option<Option<Usage>>,
}

/// A choice, which contains a piece of the answer.
#[derive(Serialize, ToSchema)]
struct ChunkChoice<'a> {
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    index: u32,
    /// The next piece of the answer.
    delta: AnswerDelta<'a>,
    /// Always null.
    #[schema(schema_with = null)]
    logprobs: (),
    /// The reason why the answer ended, in the last chunk that contains a choice.
    #[schema(required)]
    finish_reason: Option<FinishReason>,
}

impl<'a> ChunkChoice<'a> {
    fn only(delta: AnswerDelta<'a>, finish_reason: Option<FinishReason>) -> Vec<Self> {
        vec![Self { index: 0, delta, logprobs: (), finish_reason }]
    }
}

/// A piece of the AI's message. Empty in the last chunk that contains a choice.
#[derive(Default, Serialize, ToSchema)]
struct AnswerDelta<'a> {
    /// Always `assistant`, in the first chunk only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^assistant$", examples("assistant"))]
    role: Option<&'static str>,
    /// The next piece of text. Null in the first chunk if the answer doesn't begin with text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, examples("You "))]
    content: Option<Option<&'a str>>,
    /// The next text of the model's reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("The user "))]
    reasoning_content: Option<&'a str>,
    /// Whole parts of the reasoning, whose text was sent before, with their signatures. Missing
    /// unless the provider signs or encrypts its reasoning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, min_items = 1)]
    reasoning_details: Vec<ReasoningDetail<'a>>,
    /// The next text of the model's refusal to answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    refusal: Option<&'a str>,
    /// A piece of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 1, max_items = 1)]
    tool_calls: Option<[DeltaCall<'a>; 1]>,
    /// A piece of the function call, if the request used `functions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    function_call: Option<DeltaFunction<'a>>,
}

/// A piece of a call of a function or a custom tool.
#[derive(Default, Serialize, ToSchema)]
struct DeltaCall<'a> {
    /// The index of the call in the answer.
    #[schema(examples(0))]
    index: usize,
    /// The call's id, only in the call's first piece. The message with the call's result must
    /// contain this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("call_0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"))]
    id: Option<&'a str>,
    /// `function` or `custom`, only in the call's first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^(function|custom)$", examples("function"))]
    r#type: Option<&'static str>,
    /// The called function. Missing if the call is of a custom tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    function: Option<DeltaFunction<'a>>,
    /// The called custom tool. Missing if the call is of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    custom: Option<DeltaCustomTool<'a>>,
}

/// A called custom tool's name, in the call's first piece, or the text for the tool.
#[derive(Serialize, ToSchema)]
struct DeltaCustomTool<'a> {
    /// The tool's name, in the call's first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("apply_patch"))]
    name: Option<&'a str>,
    /// The whole text for the tool. Empty in the call's first piece.
    #[schema(examples("*** Begin Patch"))]
    input: &'a str,
}

/// A piece of a called function's name and arguments.
#[derive(Serialize, ToSchema)]
struct DeltaFunction<'a> {
    /// The function's name, only in the call's first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("get_weather"))]
    name: Option<&'a str>,
    /// The next piece of the arguments.
    #[schema(examples(r#"{"city": "#))]
    arguments: &'a str,
}

/// The request options that determine the form of the answer.
pub(crate) struct Completions {
    pub(super) calls: Form,
    pub(super) custom: CustomTools,
    /// True if a streamed answer ends with its usage.
    pub(super) with_usage: bool,
    /// True if the answer doesn't contain the model's reasoning.
    pub(super) hides_reasoning: bool,
}

/// The field of an answer that contains its function calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The `tool_calls` field.
    Tools,
    /// The older `function_call` field.
    Function,
}

impl Form {
    fn finish_reason(self, chat: &Chat) -> FinishReason {
        match (chat.finish_reason(), self) {
            (FinishReason::Stopped, _) => FinishReason::Length,
            (FinishReason::ToolCalls, Self::Function) => FinishReason::FunctionCall,
            (reason, _) => reason,
        }
    }
}

impl<'a> Completion<'a> {
    pub(super) fn of(chat: &'a Chat, options: &Completions) -> Self {
        let text = Some(chat.response.as_str());
        let call = |call| AnswerCall::of(call, &options.custom);
        let (tool_calls, function_call) = match options.calls {
            Form::Tools => (chat.calls.iter().map(call).collect(), None),
            Form::Function => (Vec::new(), chat.calls.first().map(AnswerFunction::of)),
        };
        let hides = options.hides_reasoning;
        let message = AnswerMessage {
            role: "assistant",
            content: text
                .filter(|text| !chat.refused && (!text.is_empty() || chat.calls.is_empty())),
            reasoning_content: if hides { String::new() } else { chat.reasoning_text() },
            reasoning_details: if hides { Vec::new() } else { ReasoningDetail::all(chat) },
            refusal: text.filter(|_| chat.refused),
            tool_calls,
            function_call,
        };
        let finish_reason = options.calls.finish_reason(chat);
        Self {
            id: id(&chat.chat_id),
            object: "chat.completion",
            created: chat.time / 1000,
            model: chat.model_name(),
            system_fingerprint: system_fingerprint(chat.model_name()),
            choices: [Choice { index: 0, message, logprobs: (), finish_reason }],
            usage: Usage::of(chat),
        }
    }
}

impl<'a> AnswerCall<'a> {
    fn of(call: &'a ToolCall, custom: &CustomTools) -> Self {
        let id = call.id.as_str();
        if custom.contains_key(&call.name) {
            let custom = AnswerCustomTool { name: &call.name, input: input_of(&call.arguments) };
            Self { id, r#type: "custom", function: None, custom: Some(custom) }
        } else {
            let function = Some(AnswerFunction::of(call));
            Self { id, r#type: "function", function, custom: None }
        }
    }
}

fn id(chat_id: &str) -> String {
    format!("chatcmpl-{chat_id}")
}

/// Returns the model's fingerprint. Some clients reject an answer without a fingerprint, and others
/// reject a null fingerprint.
pub(crate) fn system_fingerprint(model: &str) -> String {
    let hash = fingerprint(model);
    format!("fp_{}", hash.get(..10).unwrap_or_default())
}

impl Usage {
    pub(crate) fn of(chat: &Chat) -> Self {
        let usage = chat.usage();
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: u64::from(usage.prompt_tokens) + u64::from(usage.completion_tokens),
            prompt_tokens_details: (usage.cached_tokens > 0 || usage.written_tokens > 0).then_some(
                PromptTokens {
                    cached_tokens: usage.cached_tokens,
                    cache_write_tokens: Some(usage.written_tokens).filter(|count| *count > 0),
                },
            ),
            completion_tokens_details: (usage.reasoning_tokens > 0)
                .then_some(CompletionTokens { reasoning_tokens: usage.reasoning_tokens }),
            cost: chat.cost_in_money(),
        }
    }
}

/// Sends a completion chunk by chunk
/// ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).
pub(crate) struct Chunks {
    events: Events,
    options: Completions,
    id: String,
    created: u64,
    /// True if a chunk was sent.
    begun: bool,
    /// True if a chunk with text, a refusal or a call was sent.
    answered: bool,
    reasoning: ReasoningParts,
    /// The marks of the blocks that were sent.
    marks: Vec<AnswerMark>,
    /// The indices of the calls of custom tools that have begun.
    custom_calls: BTreeSet<usize>,
}

impl Chunks {
    pub(super) fn new(events: Events, options: Completions, chat_id: &str, began: u64) -> Self {
        Self {
            events,
            options,
            id: id(chat_id),
            created: began / 1000,
            begun: false,
            answered: false,
            reasoning: ReasoningParts::default(),
            marks: Vec::new(),
            custom_calls: BTreeSet::new(),
        }
    }

    /// Sends a piece of the reasoning. Signatures are sent with the whole part that they sign.
    async fn send_reasoning(&mut self, model: &str, piece: &ReasoningPiece) -> Result<()> {
        let parts = self.reasoning.add(piece);
        if self.options.hides_reasoning || *piece == ReasoningPiece::Broken {
            return Ok(());
        }
        let marks = &mut self.marks;
        let details = parts.iter().map(|(index, part)| ReasoningDetail::of(*index, part, marks));
        let delta = AnswerDelta {
            content: (!self.begun).then_some(None),
            reasoning_content: match piece {
                ReasoningPiece::Text(text) => Some(text.as_str()),
                _ => None,
            },
            reasoning_details: details.collect(),
            ..AnswerDelta::default()
        };
        self.send_delta(model, delta).await
    }

    async fn send_text(&mut self, model: &str, text: &str) -> Result<()> {
        self.answered = true;
        AnswerMark::Text(text.len()).push(&mut self.marks);
        let delta = AnswerDelta { content: Some(Some(text)), ..AnswerDelta::default() };
        self.send_delta(model, delta).await
    }

    async fn send_refusal(&mut self, model: &str, text: &str) -> Result<()> {
        self.answered = true;
        let content = (!self.begun).then_some(None);
        let delta = AnswerDelta { content, refusal: Some(text), ..AnswerDelta::default() };
        self.send_delta(model, delta).await
    }

    async fn call(&mut self, model: &str, piece: &CallPiece) -> Result<()> {
        self.answered = true;
        let (id, name) = match &piece.begins {
            Some((id, name)) => (Some(id.as_str()), Some(name.as_str())),
            None => (None, None),
        };
        if piece.begins.is_some() {
            AnswerMark::Call.push(&mut self.marks);
        }
        if name.is_some_and(|name| self.options.custom.contains_key(name)) {
            self.custom_calls.insert(piece.index);
        }
        let function = DeltaFunction { name, arguments: &piece.arguments };
        let content = (!self.begun).then_some(None);
        let delta = AnswerDelta { content, ..AnswerDelta::default() };
        let delta = match self.options.calls {
            Form::Function => AnswerDelta { function_call: Some(function), ..delta },
            // The arguments are the text in JSON, so the text follows when they are complete.
            Form::Tools if self.custom_calls.contains(&piece.index) => {
                if name.is_none() {
                    return Ok(());
                }
                let (r#type, custom) = (Some("custom"), Some(DeltaCustomTool { name, input: "" }));
                let call = DeltaCall { index: piece.index, id, r#type, function: None, custom };
                AnswerDelta { tool_calls: Some([call]), ..delta }
            }
            Form::Tools => {
                let (r#type, function) = (id.map(|_| "function"), Some(function));
                let call = DeltaCall { index: piece.index, id, r#type, function, custom: None };
                AnswerDelta { tool_calls: Some([call]), ..delta }
            }
        };
        self.send_delta(model, delta).await
    }

    /// Sends the texts of the calls of custom tools.
    async fn end_custom_calls(&mut self, chat: &Chat) -> Result<()> {
        for index in std::mem::take(&mut self.custom_calls) {
            let Some(call) = chat.calls.get(index) else { continue };
            let input = input_of(&call.arguments);
            let custom = Some(DeltaCustomTool { name: None, input: &input });
            let call = DeltaCall { index, custom, ..DeltaCall::default() };
            let delta = AnswerDelta { tool_calls: Some([call]), ..AnswerDelta::default() };
            self.send_delta(chat.model_name(), delta).await?;
        }
        Ok(())
    }

    /// Sends a piece of the answer. The first piece contains the role.
    async fn send_delta(&mut self, model: &str, delta: AnswerDelta<'_>) -> Result<()> {
        let role = (!self.begun).then_some("assistant");
        self.begun = true;
        self.send(model, ChunkChoice::only(AnswerDelta { role, ..delta }, None), None).await
    }

    async fn send(
        &self,
        model: &str,
        choices: Vec<ChunkChoice<'_>>,
        usage: Option<Usage>,
    ) -> Result<()> {
        let Self { id, created, .. } = self;
        let object = "chat.completion.chunk";
        let (created, system_fingerprint) = (*created, system_fingerprint(model));
        let usage = self.options.with_usage.then_some(usage);
        let chunk = Chunk { id, object, created, model, system_fingerprint, choices, usage };
        self.events.send_json(&chunk).await
    }
}

impl AnswerWriter for Chunks {
    async fn send_piece(&mut self, piece: &Piece) -> Result<()> {
        if let Some(reasoning) = &piece.reasoning {
            return self.send_reasoning(&piece.model, reasoning).await;
        }
        // Only signed and encrypted parts are sent as a whole.
        let _ = self.reasoning.end();
        match &piece.call {
            Some(call) => self.call(&piece.model, call).await,
            None if piece.is_refusal => self.send_refusal(&piece.model, &piece.text).await,
            None => self.send_text(&piece.model, &piece.text).await,
        }
    }

    async fn end(&mut self, chat: &Chat) -> Result<()> {
        if !self.answered {
            // Clients expect a chunk with a text even if the answer is empty.
            self.send_text(chat.model_name(), "").await?;
        }
        self.end_custom_calls(chat).await?;
        let reason = self.options.calls.finish_reason(chat);
        let end = ChunkChoice::only(AnswerDelta::default(), Some(reason));
        self.send(chat.model_name(), end, None).await?;
        if self.options.with_usage {
            self.send(chat.model_name(), Vec::new(), Some(Usage::of(chat))).await?;
        }
        self.events.send_data("[DONE]").await
    }

    async fn fail(&mut self, error: &Error) -> Result<()> {
        self.events.fail(error).await
    }
}
