//! `POST /api/chat`, `POST /api/chat_msg` - send the AI a message, and pay for its answer.
//!
//! In: `{message, conversation_id?, after?}` with an `Authorization` header, or with a `token` in
//! the body. `Idempotency-Key` makes retries safe. Out: the answer, its conversation, the price and
//! the balance. Without `conversation_id` a new conversation begins. `after` names an earlier
//! message in the conversation; the AI gets only that message and the messages that lead to it.
//! Only a stored answer is charged.

use shared::app::AiApp;
use shared::charge::{self, BeginOutcome, Charge, read};
use shared::error::Failure;
use shared::openapi::IdempotencyKey;
use shared::view::PaidChat;
use shared::{Reply, Request, http};

/// Reserves the tokens, calls the AI, and then stores the answer or returns the tokens.
#[utoipa::path(
    post,
    path = super::path::chat,
    tag = "Chat",
    summary = "Send the AI a message",
    description = "The tokens are taken before the AI is called, and returned if it fails. \
                   A message that names an earlier message in `after` begins a branch of the conversation, for an edited message or another answer to the same one. \
                   The other versions are kept, and the AI doesn't get them.",
    security(("access_token" = []), ()),
    params(IdempotencyKey),
    request_body = charge::Body,
    responses((
        status = 200,
        description = "The answer, and the balance after it.",
        body = PaidChat,
        headers(("RateLimit" = String), ("RateLimit-Policy" = String)),
    )),
    extensions(("x-fails" = json!([charge::FAILURES, &[Failure::NoSuchConversation]].concat()))),
)]
pub async fn handle(app: AiApp, req: Request) -> Reply {
    let (caller, asked) = read(&app, &req).await?;
    match Charge::begin(&app, &req, &caller, asked).await? {
        BeginOutcome::Replayed(chat) => http::ok(&PaidChat::of(&chat)).map(http::replayed),
        BeginOutcome::Charge(charge) => {
            let paid = charge.answer(None).await?;
            Ok(http::limited(http::ok(&PaidChat::of(&paid.chat))?, &paid.this_minute))
        }
    }
}
