//! Replies to `POST /v1/completions`: a text completion, or its chunks
//! ([reference](https://platform.openai.com/docs/api-reference/completions/object)).

use serde::Serialize;
use shared::ai::Piece;
use shared::http::Events;
use shared::values::{Chat, FinishReason};
use shared::{Error, Result, openapi};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::dialects::AnswerWriter;
use crate::dialects::completions::reply::{Usage, system_fingerprint};
use crate::dialects::openai::failures::OpenAiFailure;
use crate::dialects::programs::null;

/// A text completion, or a chunk of a streamed one.
#[derive(Serialize, ToSchema)]
pub(crate) struct TextCompletion<'a> {
    /// `cmpl-` followed by the id of the message.
    #[schema(examples("cmpl-01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: String,
    /// Always `text_completion`.
    #[schema(pattern = "^text_completion$", examples("text_completion"))]
    object: &'static str,
    /// When the prompt was sent, in seconds since 1970.
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
    choices: Vec<TextChoice<'a>>,
    /// The model's token counts. In a stream only if the request asks for them, and null in all
    /// chunks but the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Usage>)]
    usage: Option<Option<Usage>>,
}

/// A choice, which contains the answer or its next piece.
#[derive(Serialize, ToSchema)]
struct TextChoice<'a> {
    /// The answer's text, or in a chunk its next piece, which is empty in the last chunk that
    /// contains a choice. An empty answer is charged like any other answer.
    #[schema(examples("You said: Hello!"))]
    text: &'a str,
    /// Always 0.
    #[schema(maximum = 0, examples(0))]
    index: u32,
    /// Always null.
    #[schema(schema_with = null)]
    logprobs: (),
    /// The reason why the answer ends: `stop`, `length` or `content_filter`. In a stream only in
    /// the last chunk that contains a choice.
    #[schema(required)]
    finish_reason: Option<FinishReason>,
}

/// An event of a streamed text completion.
#[derive(Debug)]
pub struct TextChunkEvent;

impl PartialSchema for TextChunkEvent {
    fn schema() -> RefOr<Schema> {
        let (chunk, failure) = (TextCompletion::name(), OpenAiFailure::name());
        openapi::event(None, &[&chunk, &failure], Some("[DONE]")).into()
    }
}

impl ToSchema for TextChunkEvent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((TextCompletion::name().into(), TextCompletion::schema()));
        <TextCompletion as ToSchema>::schemas(schemas);
    }
}

impl<'a> TextCompletion<'a> {
    /// Returns the completion with a whole answer.
    pub(super) fn of(chat: &'a Chat) -> Self {
        Self {
            id: id(&chat.chat_id),
            object: OBJECT,
            created: chat.time / 1000,
            model: chat.model_name(),
            system_fingerprint: system_fingerprint(chat.model_name()),
            choices: TextChoice::only(&chat.response, Some(finish_reason(chat))),
            usage: Some(Some(Usage::of(chat))),
        }
    }
}

impl<'a> TextChoice<'a> {
    fn only(text: &'a str, finish_reason: Option<FinishReason>) -> Vec<Self> {
        vec![Self { text, index: 0, logprobs: (), finish_reason }]
    }
}

const OBJECT: &str = "text_completion";

fn id(chat_id: &str) -> String {
    format!("cmpl-{chat_id}")
}

/// Returns why the answer ended, in the three words of the older API.
fn finish_reason(chat: &Chat) -> FinishReason {
    match chat.finish_reason() {
        FinishReason::Stopped => FinishReason::Length,
        FinishReason::ToolCalls | FinishReason::FunctionCall => FinishReason::Stop,
        reason => reason,
    }
}

/// Sends a text completion chunk by chunk.
pub(crate) struct TextChunks {
    events: Events,
    /// True if the stream ends with the usage.
    with_usage: bool,
    id: String,
    created: u64,
}

impl TextChunks {
    pub(super) fn new(events: Events, with_usage: bool, chat_id: &str, began: u64) -> Self {
        Self { events, with_usage, id: id(chat_id), created: began / 1000 }
    }

    async fn send(
        &self,
        model: &str,
        choices: Vec<TextChoice<'_>>,
        usage: Option<Usage>,
    ) -> Result<()> {
        let (id, created, system_fingerprint) =
            (self.id.clone(), self.created, system_fingerprint(model));
        let chunk = TextCompletion {
            id,
            object: OBJECT,
            created,
            model,
            system_fingerprint,
            choices,
            usage: self.with_usage.then_some(usage),
        };
        self.events.send_json(&chunk).await
    }
}

impl AnswerWriter for TextChunks {
    async fn send_piece(&mut self, piece: &Piece) -> Result<()> {
        // The older API has no field for reasoning. A refusal is sent as text.
        if piece.text.is_empty() {
            return Ok(());
        }
        self.send(&piece.model, TextChoice::only(&piece.text, None), None).await
    }

    async fn end(&mut self, chat: &Chat) -> Result<()> {
        let end = TextChoice::only("", Some(finish_reason(chat)));
        self.send(chat.model_name(), end, None).await?;
        if self.with_usage {
            self.send(chat.model_name(), Vec::new(), Some(Usage::of(chat))).await?;
        }
        self.events.send_data("[DONE]").await
    }

    async fn fail(&mut self, error: &Error) -> Result<()> {
        self.events.fail(error).await
    }
}
