//! `GET /api/chat/{id}` - one chat of the caller's.
//!
//! Out: what the history shows of it; 404 for what is not the caller's or was deleted.

use shared::openapi::PathId;
use shared::view::Chat;
use shared::{App, Error, Reply, Request, auth, http};

/// Reads both at the same time; the chat is shown only to whom the account admits.
#[utoipa::path(
    get,
    path = "/api/chat/{id}",
    tag = "Chat",
    summary = "Read a chat",
    description = "What the history shows of it.",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The chat.", body = Chat)),
    extensions(("x-fails" = json!(["NoSuchChat"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchChat);
    let (account, chat) = tokio::join!(app.store.account_of(&caller), async {
        app.store.chat(&caller.user_id, &id?).await
    });
    account?;
    http::ok(&Chat::of(&chat?.ok_or(Error::NoSuchChat)?))
}
