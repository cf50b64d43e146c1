//! `DELETE /api/conversations/{id}` - delete one of the caller's conversations and all messages in
//! it.
//!
//! Deletes the conversation and marks the account for the `erase` function, in one transaction.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Deletes conversations").permits(permits![
    VERIFY_TOKENS,
    update(Users(&["user:*"])),
    update(Chats),
]);

/// Delete a conversation with all its messages
///
/// Lists no longer show it, and messages to it are refused. A message that is being answered is
/// charged and stored without a conversation. The statement keeps the prices.
#[utoipa::path(
    delete,
    path = super::path::conversation_delete,
    tag = "Conversations",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 202, description = "The conversation is deleted. Its messages are erased within minutes.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchConversation]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let Some(id) = http::path_id(&req) else {
        app.store.account_of(&caller).await?;
        return Err(Error::NoSuchConversation);
    };
    app.store.delete_conversation(&caller, &id, app.clock.seconds()).await?;
    tracing::info!(user = caller.user_id, conversation = id, "conversation deleted");
    http::accepted(&Done {
        message: "The conversation is deleted. Its messages are erased within minutes.",
    })
}
