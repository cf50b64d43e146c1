//! `POST /api/chat`, `POST /api/chat_msg` - send the AI a message for the price of a chat.
//!
//! In: `{message, conversation_id?}` with an `Authorization` header, or with a `token` beside them.
//! `Idempotency-Key` makes it safe to be sent again. Out: the answer, its conversation, which
//! begins here where none was named, what was deducted and the balance. Nothing is charged unless
//! the chat is stored.

use shared::app::Asking;
use shared::charge::{self, Begun, Charge, read};
use shared::openapi::IdempotencyKey;
use shared::view::PaidChat;
use shared::{Reply, Request, http};

/// Takes the tokens, asks the AI, and stores the chat or gives the tokens back.
#[utoipa::path(
    post,
    path = "/api/chat",
    tag = "Chat",
    summary = "Send the AI a message",
    description = "It costs the price of a chat. The tokens are taken before the AI is asked, and given back where it fails.",
    security(("access_token" = []), ()),
    params(IdempotencyKey),
    request_body = charge::Body,
    responses((
        status = 200,
        description = "The answer, and the balance after it.",
        body = PaidChat,
        headers(("RateLimit" = String), ("RateLimit-Policy" = String)),
    )),
    extensions(("x-fails" = json!([charge::FAILURES, &["NoSuchConversation"]].concat()))),
)]
pub async fn handle(app: Asking, req: Request) -> Reply {
    let (caller, asked) = read(&app, &req).await?;
    match Charge::begin(&app, &req, &caller, asked).await? {
        Begun::Replayed(chat) => http::ok(&PaidChat::of(&chat)).map(http::replayed),
        Begun::Charge(charge) => {
            let paid = charge.answer(None).await?;
            Ok(http::limited(http::ok(&PaidChat::of(&paid.chat))?, &paid.this_minute))
        }
    }
}
