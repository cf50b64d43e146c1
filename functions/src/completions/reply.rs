//! Replies to OpenAI's clients: a completion, or its chunks
//! ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).

use serde::Serialize;
use shared::chat::{Chat, FinishReason};
use shared::http::{Events, OpenAiFailure};
use shared::{Error, Result, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

/// A completion.
#[derive(Serialize, ToSchema)]
pub(super) struct Completion<'a> {
    /// `chatcmpl-` and the id of the message.
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
    /// Always one.
    #[schema(min_items = 1, max_items = 1)]
    choices: [Choice<'a>; 1],
    /// The token counts, if the provider reports them.
    #[schema(required)]
    usage: Option<Usage>,
}

/// An answer.
#[derive(Serialize, ToSchema)]
struct Choice<'a> {
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    index: u32,
    /// The answer.
    message: AnswerMessage<'a>,
    /// Always null.
    #[schema(schema_with = null)]
    logprobs: (),
    /// Why the answer ends.
    finish_reason: FinishReason,
}

/// The AI's message.
#[derive(Serialize, ToSchema)]
struct AnswerMessage<'a> {
    /// Always `assistant`.
    #[schema(pattern = "^assistant$", examples("assistant"))]
    role: &'static str,
    /// The answer. It may be empty, and costs the same.
    #[schema(examples("You said: Hello!"))]
    content: &'a str,
    /// Always null.
    #[schema(schema_with = null)]
    refusal: (),
}

/// Counts of the model's tokens.
#[derive(Serialize, ToSchema)]
struct Usage {
    /// Tokens of the prompt.
    #[schema(examples(9))]
    prompt_tokens: u32,
    /// Tokens of the answer.
    #[schema(examples(12))]
    completion_tokens: u32,
    /// The sum of both.
    #[schema(examples(21))]
    total_tokens: u64,
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

/// A part of a completion.
#[derive(Serialize, ToSchema)]
#[schema(as = CompletionChunk)]
struct Chunk<'a> {
    /// `chatcmpl-` and the id of the message.
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
    /// One, or none in the chunk with the usage.
    #[schema(max_items = 1)]
    choices: Vec<ChunkChoice<'a>>,
    /// The token counts, in the last chunk if the request asks for them and the provider reports
    /// them.
    #[schema(required)]
    usage: Option<Usage>,
}

/// A part of an answer.
#[derive(Serialize, ToSchema)]
struct ChunkChoice<'a> {
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    index: u32,
    /// The next text.
    delta: AnswerDelta<'a>,
    /// Always null.
    #[schema(schema_with = null)]
    logprobs: (),
    /// Why the answer ends, in the last chunk with a choice.
    #[schema(required)]
    finish_reason: Option<FinishReason>,
}

impl<'a> ChunkChoice<'a> {
    fn of(delta: AnswerDelta<'a>, finish_reason: Option<FinishReason>) -> Vec<Self> {
        vec![Self { index: 0, delta, logprobs: (), finish_reason }]
    }
}

/// A piece of the AI's message; empty at the end.
#[derive(Default, Serialize, ToSchema)]
struct AnswerDelta<'a> {
    /// `assistant`, in the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, pattern = "^assistant$", examples("assistant"))]
    role: Option<&'static str>,
    /// The next text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("You "))]
    content: Option<&'a str>,
}

/// Nothing, where other servers may have a text: generators of clients know no type that is only
/// null.
fn null() -> Object {
    Object::with_type(SchemaType::from_iter([Type::String, Type::Null]))
}

impl<'a> Completion<'a> {
    pub(super) fn of(chat: &'a Chat) -> Self {
        let message = AnswerMessage { role: "assistant", content: &chat.response, refusal: () };
        let finish_reason = chat.finish_reason();
        Self {
            id: id(&chat.chat_id),
            object: "chat.completion",
            created: chat.time / 1000,
            model: &chat.model,
            choices: [Choice { index: 0, message, logprobs: (), finish_reason }],
            usage: Usage::of(chat),
        }
    }
}

fn id(chat_id: &str) -> String {
    format!("chatcmpl-{chat_id}")
}

impl Usage {
    /// The token counts, if the provider reports them.
    fn of(chat: &Chat) -> Option<Self> {
        chat.usage.map(|usage| Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: u64::from(usage.prompt_tokens) + u64::from(usage.completion_tokens),
        })
    }
}

/// Sends a completion chunk by chunk
/// ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).
pub(super) struct Chunks {
    events: Events,
    id: String,
    created: u64,
    begun: bool,
}

impl Chunks {
    pub(super) fn of(events: Events, chat_id: &str, began: u64) -> Self {
        Self { events, id: id(chat_id), created: began / 1000, begun: false }
    }

    pub(super) async fn say(&mut self, model: &str, text: &str) -> Result<()> {
        let role = (!self.begun).then_some("assistant");
        self.begun = true;
        let delta = AnswerDelta { role, content: Some(text) };
        self.send(model, ChunkChoice::of(delta, None), None).await
    }

    pub(super) async fn end(&mut self, chat: &Chat, with_usage: bool) -> Result<()> {
        if !self.begun {
            // Clients expect the role even if the answer is empty.
            self.say(&chat.model, "").await?;
        }
        let end = ChunkChoice::of(AnswerDelta::default(), Some(chat.finish_reason()));
        self.send(&chat.model, end, None).await?;
        if with_usage {
            self.send(&chat.model, Vec::new(), Usage::of(chat)).await?;
        }
        self.events.send_data("[DONE]").await
    }

    pub(super) async fn fail(&self, error: &Error) -> Result<()> {
        self.events.fail(error).await
    }

    async fn send(
        &self,
        model: &str,
        choices: Vec<ChunkChoice<'_>>,
        usage: Option<Usage>,
    ) -> Result<()> {
        let Self { id, created, .. } = self;
        let object = "chat.completion.chunk";
        self.events.send_json(&Chunk { id, object, created: *created, model, choices, usage }).await
    }
}
