//! Replies of `POST /v1/chat/completions`: a completion, or its chunks
//! ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).

use serde::Serialize;
use shared::ai::{CallPiece, Piece};
use shared::http::{Events, OpenAiFailure};
use shared::values::idempotency::fingerprint;
use shared::values::{Chat, FinishReason, ToolCall};
use shared::{Error, Result, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::asking::AnswerWriter;
use crate::asking::null;

/// A completion.
#[derive(Serialize, ToSchema)]
pub(super) struct Completion<'a> {
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
    /// `fp_` and a hash of the model's name. All answers of a model have the same fingerprint,
    /// which therefore doesn't show changes by the provider.
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
    /// The reason why the answer ends.
    finish_reason: FinishReason,
}

/// The AI's message.
#[derive(Serialize, ToSchema)]
struct AnswerMessage<'a> {
    /// Always `assistant`.
    #[schema(pattern = "^assistant$", examples("assistant"))]
    role: &'static str,
    /// The answer's text. An empty answer is charged like any other answer. Null if the answer
    /// contains calls and no text.
    #[schema(required, examples("You said: Hello!"))]
    content: Option<&'a str>,
    /// Always null.
    #[schema(schema_with = null)]
    refusal: (),
    /// The functions that the client is asked to call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, min_items = 1)]
    tool_calls: Vec<AnswerCall<'a>>,
    /// The function that the client is asked to call, if the request used `functions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    function_call: Option<AnswerFunction<'a>>,
}

/// A call of a function.
#[derive(Serialize, ToSchema)]
struct AnswerCall<'a> {
    /// The call's id. The message with the call's result must contain this id.
    #[schema(examples("call_0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"))]
    id: &'a str,
    /// Always `function`.
    #[schema(pattern = "^function$", examples("function"))]
    r#type: &'static str,
    /// The called function.
    function: AnswerFunction<'a>,
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

impl<'a> AnswerFunction<'a> {
    fn of(call: &'a ToolCall) -> Self {
        Self { name: &call.name, arguments: &call.arguments }
    }
}

/// The model's token counts; estimates if the provider reports none.
#[derive(Serialize, ToSchema)]
struct Usage {
    /// The number of tokens in the prompt.
    #[schema(examples(9))]
    prompt_tokens: u32,
    /// The number of tokens in the answer.
    #[schema(examples(12))]
    completion_tokens: u32,
    /// The sum of both.
    #[schema(examples(21))]
    total_tokens: u64,
    /// Details about the prompt's tokens. Missing if no token was read from the provider's cache.
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
    /// `fp_` and a hash of the model's name. All answers of a model have the same fingerprint,
    /// which therefore doesn't show changes by the provider.
    #[schema(pattern = "^fp_[A-Za-z0-9_-]{10}$", examples("fp_CSx56PgOVZ"))]
    system_fingerprint: String,
    /// One choice. The chunk with the usage has no choice.
    #[schema(max_items = 1)]
    choices: Vec<ChunkChoice<'a>>,
    /// The model's token counts, only in the last chunk, and only if the request asks for the
    /// usage.
    #[schema(required)]
    usage: Option<Usage>,
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
    /// The reason why the answer ends, in the last chunk that contains a choice.
    #[schema(required)]
    finish_reason: Option<FinishReason>,
}

impl<'a> ChunkChoice<'a> {
    fn of(delta: AnswerDelta<'a>, finish_reason: Option<FinishReason>) -> Vec<Self> {
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
    /// The next text. Null in the first chunk of an answer without text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, required = false, examples("You "))]
    content: Option<Option<&'a str>>,
    /// A piece of a function call.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 1, max_items = 1)]
    tool_calls: Option<[DeltaCall<'a>; 1]>,
    /// A piece of the function call, if the request used `functions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    function_call: Option<DeltaFunction<'a>>,
}

/// A piece of a function call.
#[derive(Serialize, ToSchema)]
struct DeltaCall<'a> {
    /// The index of the call in the answer.
    #[schema(examples(0))]
    index: usize,
    /// The call's id, only in the call's first piece. The message with the call's result must
    /// contain this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("call_0f1c6b0e3f524c8e9d0a6a9f0d0c4f11"))]
    id: Option<&'a str>,
    /// Always `function`, in the call's first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^function$", examples("function"))]
    r#type: Option<&'static str>,
    /// The called function.
    function: DeltaFunction<'a>,
}

/// A piece of a called function's name and arguments.
#[derive(Serialize, ToSchema)]
struct DeltaFunction<'a> {
    /// The function's name, in the call's first piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("get_weather"))]
    name: Option<&'a str>,
    /// The next piece of the arguments.
    #[schema(examples(r#"{"city": "#))]
    arguments: &'a str,
}

/// The options of a request that determine the form of its answer.
pub(super) struct Completions {
    pub(super) calls: Form,
    /// True if a streamed answer ends with its usage.
    pub(super) with_usage: bool,
}

/// The field of an answer that contains its function calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The field `tool_calls`.
    Tools,
    /// The older field `function_call`.
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
    pub(super) fn of(chat: &'a Chat, form: Form) -> Self {
        let text = chat.response.as_str();
        let (tool_calls, function_call) = match form {
            Form::Tools => (chat.calls.iter().map(AnswerCall::of).collect(), None),
            Form::Function => (Vec::new(), chat.calls.first().map(AnswerFunction::of)),
        };
        let message = AnswerMessage {
            role: "assistant",
            content: Some(text).filter(|text| !text.is_empty() || chat.calls.is_empty()),
            refusal: (),
            tool_calls,
            function_call,
        };
        let finish_reason = form.finish_reason(chat);
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
    fn of(call: &'a ToolCall) -> Self {
        Self { id: &call.id, r#type: "function", function: AnswerFunction::of(call) }
    }
}

fn id(chat_id: &str) -> String {
    format!("chatcmpl-{chat_id}")
}

/// Returns the model's fingerprint. Some clients reject an answer without a fingerprint, and others
/// reject a null fingerprint.
fn system_fingerprint(model: &str) -> String {
    let hash = fingerprint(model);
    format!("fp_{}", hash.get(..10).unwrap_or_default())
}

impl Usage {
    fn of(chat: &Chat) -> Self {
        let usage = chat.usage();
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: u64::from(usage.prompt_tokens) + u64::from(usage.completion_tokens),
            prompt_tokens_details: (usage.cached_tokens > 0)
                .then_some(PromptTokens { cached_tokens: usage.cached_tokens }),
            completion_tokens_details: (usage.reasoning_tokens > 0)
                .then_some(CompletionTokens { reasoning_tokens: usage.reasoning_tokens }),
            cost: chat.cost_in_money(),
        }
    }
}

/// Sends a completion chunk by chunk
/// ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).
pub(super) struct Chunks {
    events: Events,
    options: Completions,
    id: String,
    created: u64,
    begun: bool,
}

impl Chunks {
    pub(super) fn of(events: Events, options: Completions, chat_id: &str, began: u64) -> Self {
        Self { events, options, id: id(chat_id), created: began / 1000, begun: false }
    }

    async fn send_text(&mut self, model: &str, text: &str) -> Result<()> {
        let delta = AnswerDelta { content: Some(Some(text)), ..AnswerDelta::default() };
        self.send_delta(model, delta).await
    }

    async fn call(&mut self, model: &str, piece: &CallPiece) -> Result<()> {
        let (id, name) = match &piece.begins {
            Some((id, name)) => (Some(id.as_str()), Some(name.as_str())),
            None => (None, None),
        };
        let function = DeltaFunction { name, arguments: &piece.arguments };
        let content = (!self.begun).then_some(None);
        let delta = AnswerDelta { content, ..AnswerDelta::default() };
        let delta = match self.options.calls {
            Form::Function => AnswerDelta { function_call: Some(function), ..delta },
            Form::Tools => {
                let r#type = id.map(|_| "function");
                let call = DeltaCall { index: piece.index, id, r#type, function };
                AnswerDelta { tool_calls: Some([call]), ..delta }
            }
        };
        self.send_delta(model, delta).await
    }

    /// Sends a piece of the answer. The first piece contains the role.
    async fn send_delta(&mut self, model: &str, delta: AnswerDelta<'_>) -> Result<()> {
        let role = (!self.begun).then_some("assistant");
        self.begun = true;
        self.send(model, ChunkChoice::of(AnswerDelta { role, ..delta }, None), None).await
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
        let chunk = Chunk { id, object, created, model, system_fingerprint, choices, usage };
        self.events.send_json(&chunk).await
    }
}

impl AnswerWriter for Chunks {
    async fn send_piece(&mut self, piece: &Piece) -> Result<()> {
        match &piece.call {
            Some(call) => self.call(&piece.model, call).await,
            None => self.send_text(&piece.model, &piece.text).await,
        }
    }

    async fn end(&mut self, chat: &Chat) -> Result<()> {
        if !self.begun {
            // Clients expect a chunk with the role even if the answer is empty.
            self.send_text(chat.model_name(), "").await?;
        }
        let reason = self.options.calls.finish_reason(chat);
        let end = ChunkChoice::of(AnswerDelta::default(), Some(reason));
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
