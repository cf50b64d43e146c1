//! The dialect of this API's own clients. Its requests continue conversations that are stored here
//! (`shared::charge`).

use serde::Serialize;
use shared::ai::{Piece, ReasoningPiece};
use shared::http::{self, Events, Failures, PROBLEMS, StreamProblem};
use shared::openapi;
use shared::values::Chat;
use shared::view::PaidChat;
use shared::{Error, Reply, Result};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOf, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::{AnswerWriter, Dialect};

/// The dialect of this API's own clients.
pub(crate) struct Native {
    /// The status of a whole answer.
    pub(crate) status: u16,
}

impl Dialect for Native {
    const FAILURES: &'static dyn Failures = PROBLEMS;
    const STREAMS_SHOW_LIMIT: bool = false;

    type Writer = ChatEvents;

    fn reply(&self, chat: &Chat) -> Reply {
        http::chosen(self.status, &PaidChat::of(chat))
    }

    fn writer(self, events: Events, _: &str, _: u64) -> ChatEvents {
        ChatEvents(events)
    }
}

/// Writes the events of a streamed answer.
pub(crate) struct ChatEvents(Events);

impl ChatEvents {
    async fn send(&self, name: &str, text: &str) -> Result<()> {
        self.0.send(name, &Delta { text }).await
    }
}

impl AnswerWriter for ChatEvents {
    /// Signatures are only for clients that send the reasoning back.
    async fn send_piece(&mut self, piece: &Piece) -> Result<()> {
        match &piece.reasoning {
            Some(ReasoningPiece::Text(text)) => self.send("reasoning", text).await,
            Some(_) => Ok(()),
            None => self.send("delta", &piece.text).await,
        }
    }

    async fn end(&mut self, chat: &Chat) -> Result<()> {
        self.0.send("done", &PaidChat::of(chat)).await
    }

    async fn fail(&mut self, error: &Error) -> Result<()> {
        self.0.fail(error).await
    }

    async fn replay(&mut self, chat: &Chat) -> Result<()> {
        let reasoning = chat.reasoning_text();
        if !reasoning.is_empty() {
            self.send("reasoning", &reasoning).await?;
        }
        self.send("delta", &chat.response).await?;
        self.end(chat).await
    }
}

/// The schema of a stream's events.
#[derive(Debug)]
pub struct ChatEvent;

impl PartialSchema for ChatEvent {
    fn schema() -> RefOr<Schema> {
        let kinds = [
            ("reasoning", Delta::name()),
            ("delta", Delta::name()),
            ("done", PaidChat::name()),
            ("error", StreamProblem::name()),
        ];
        let events = kinds.into_iter().fold(OneOf::builder(), |events, (name, schema)| {
            events.item(openapi::event(Some(name), &[&schema], None))
        });
        events.into()
    }
}

impl ToSchema for ChatEvent {}

/// A piece of an answer, or of the model's reasoning before it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Delta<'a> {
    /// The next piece of text.
    #[schema(examples("Hello!"))]
    text: &'a str,
}
