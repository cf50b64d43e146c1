//! `POST /api/chat/stream` - like `POST /api/chat`, but the answer arrives piece by piece.
//!
//! Holds the tokens, and sends the pieces of the answer as they arrive. Even if the client
//! disconnects, the function stores the answer or returns the tokens.

use shared::app::AiApp;
use shared::charge::{self, Charge};
use shared::error::Failure;
use shared::openapi::IdempotencyKey;
use shared::{Reply, Request};

use crate::dialects::answer_in_pieces;
use crate::dialects::native::{ChatEvent, Native};
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
    let (caller, asked) = charge::read(&app, &req).await?;
    let outcome = Charge::begin(&app, &req, &caller, asked).await?;
    answer_in_pieces(outcome, Native { status: 200 }, &req, app.ai.config.silence).await
}
