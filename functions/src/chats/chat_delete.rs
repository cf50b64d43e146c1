//! `DELETE /api/chat/{id}` - delete one of the caller's messages and its answer.
//!
//! Checks the owner first, and then deletes unconditionally, so that the SDK can retry the delete.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Deletes messages").permits(permits![
    VERIFY_TOKENS,
    query(ChatsByConversation),
    allow(&[GetItem, BatchGetItem, UpdateItem, DeleteItem], Chats),
    allow(&[BatchWriteItem], Files),
    allow(&[PutItem], Tokens(&["pending:*"])),
]);

/// Delete a message
///
/// Deletes the message, its files and its answer. The statement keeps the message's price. If the
/// conversation's title came from this message, the conversation becomes untitled. Messages that
/// followed this message now follow the one before it.
#[utoipa::path(
    delete,
    path = super::path::chat_delete,
    tag = "Chat",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The message is deleted.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchChat]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchChat);
    let (account, chat) = tokio::join!(app.store.account_of(&caller), async {
        Ok::<_, Error>(app.store.chat(&caller.user_id, &id?).await?)
    });
    account?;
    let now = app.clock.seconds();
    let chat = chat?.filter(|chat| !chat.is_expired(now)).ok_or(Error::NoSuchChat)?;
    app.store.delete_chat(&chat).await?;
    tracing::info!(user = caller.user_id, chat = chat.chat_id, "chat deleted");
    http::ok(&Done { message: "The message is deleted." })
}
