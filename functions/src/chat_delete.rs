//! `DELETE /api/chat/{id}` - delete one chat of the caller's.
//!
//! Out: a message; 404 for what is not the caller's or was deleted. What it cost stays in the
//! statement; a conversation that is called after it is untitled from then on.

use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};

/// Deletes what was just seen to be the caller's, so that a delete that is sent again is the
/// success it was.
#[utoipa::path(
    delete,
    path = "/api/chat/{id}",
    tag = "Chat",
    summary = "Delete a chat",
    description = "What it cost stays in the statement. A conversation that is called after it is untitled from then on.",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "It is deleted.", body = Done)),
    extensions(("x-fails" = json!(["NoSuchChat"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchChat);
    let (account, chat) = tokio::join!(app.store.account_of(&caller), async {
        app.store.chat(&caller.user_id, &id?).await
    });
    account?;
    let chat = chat?.ok_or(Error::NoSuchChat)?;
    app.store.delete_chat(&chat).await?;
    tracing::info!(user = caller.user_id, chat = chat.chat_id, "chat deleted");
    http::ok(&Done { message: "The chat is deleted." })
}
