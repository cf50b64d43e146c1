//! `GET /api/chat/{id}` - one of the caller's messages and its answer.
//!
//! Reads the message and the account in parallel, and returns the message only if the caller's
//! token is valid for the account.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Chat;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows a message and its answer")
    .permits(permits![VERIFY_TOKENS, allow(&[GetItem, BatchGetItem], Chats)]);

/// Read a message
///
/// The message and its answer, as the history shows them.
#[utoipa::path(
    get,
    path = super::path::chat_read,
    tag = "Chat",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The message and its answer.", body = Chat)),
    extensions(("x-fails" = json!([Failure::NoSuchChat]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchChat);
    let (account, chat) = tokio::join!(app.store.account_of(&caller), async {
        Ok::<_, Error>(app.store.chat(&caller.user_id, &id?).await?)
    });
    account?;
    let chat = chat?.filter(|chat| !chat.is_expired(app.clock.seconds()));
    http::ok(&Chat::of(&chat.ok_or(Error::NoSuchChat)?))
}
