//! `POST /api/chat/stream` - like `POST /api/chat`, but the answer arrives piece by piece.
//!
//! Holds the tokens, and sends the pieces of the answer as they arrive. Even if the client
//! disconnects, the function stores the answer or returns the tokens.

use serde::Serialize;
use shared::ai::{Piece, ReasoningPiece};
use shared::app::AiApp;
use shared::charge::{self, AnswerStream, BeginOutcome, Charge, read};
use shared::error::Failure;
use shared::http::{self, Events, FailureFormat, StreamProblem};
use shared::openapi::{self, IdempotencyKey};
use shared::view::PaidChat;
use shared::{Reply, Request, Result};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{OneOf, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Sends messages to the AI, and streams its answers")
    .canary()
    .asks_ai()
    .streams(120)
    .permits(permits![VERIFY_TOKENS, ASK_AI, CONTINUE_CONVERSATION, ATTACH_FILES]);

/// Send the AI a message, and read its answer piece by piece
///
/// The reply has [server-sent
/// events](https://html.spec.whatwg.org/multipage/server-sent-events.html): `reasoning` events with
/// a piece of the model's reasoning in `text`, if the model shows it, `delta` events with a piece
/// of the answer in `text`, then `done` with the reply of `POST /api/chat/`. A failure before the
/// first piece is an ordinary reply; after it, it is an `error` event, whose data is a problem
/// document with `retry_after` that says whether the tokens were returned.
#[utoipa::path(
    post,
    path = super::path::chat_stream,
    tag = "Chat",
    security(("access_token" = []), ()),
    params(IdempotencyKey),
    request_body = charge::Body,
    responses((
        status = 200,
        description = "The answer, piece by piece.",
        content_type = "text/event-stream",
        body = ChatEvent,
    )),
    extensions(("x-fails" = json!([charge::FAILURES, &[Failure::NoSuchConversation, Failure::NoSuchFolder]].concat()))),
)]
pub async fn handle(app: AiApp, req: Request) -> Reply {
    let (caller, asked) = read(&app, &req).await?;
    match Charge::begin(&app, &req, &caller, asked).await? {
        BeginOutcome::Replayed(chat) => {
            let said = http::events(
                &req,
                FailureFormat::Problem,
                app.ai.config.silence,
                async move |events| {
                    let reasoning = chat.reasoning_text();
                    if !reasoning.is_empty() {
                        events.send("reasoning", &Delta { text: &reasoning }).await?;
                    }
                    events.send("delta", &Delta { text: &chat.response }).await?;
                    events.send("done", &PaidChat::of(&chat)).await
                },
            );
            said.map(http::replayed)
        }
        BeginOutcome::Charge(charge) => {
            let mut answering = AnswerStream::begin(charge).await?;
            http::events(&req, FailureFormat::Problem, app.ai.config.silence, async move |events| {
                while let Some(piece) = answering.next().await {
                    send_piece(&events, &piece).await?;
                }
                match answering.end().await {
                    Ok(paid) => events.send("done", &PaidChat::of(&paid.chat)).await,
                    Err(error) => events.fail(&error).await,
                }
            })
        }
    }
}

/// Sends a piece of the answer or its reasoning. Signatures are only for clients that send the
/// reasoning back.
async fn send_piece(events: &Events, piece: &Piece) -> Result<()> {
    match &piece.reasoning {
        Some(ReasoningPiece::Text(text)) => events.send("reasoning", &Delta { text }).await,
        Some(_) => Ok(()),
        None => events.send("delta", &Delta { text: &piece.text }).await,
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
