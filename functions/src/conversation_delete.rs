//! `DELETE /api/conversations/{id}` - delete one of the caller's conversations with all its chats.
//!
//! Out: 202. It is in no list at once, and nothing goes on in it: a chat under way there is
//! charged, and kept outside of any conversation. Its chats are erased within minutes; what they
//! cost stays in the statement.

use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};

/// One transaction ends it and puts the account where the function `erase` finds it.
#[utoipa::path(
    delete,
    path = "/api/conversations/{id}",
    tag = "Conversations",
    summary = "Delete a conversation with all its chats",
    description = "It is in no list at once, and nothing goes on in it: a chat under way there is not charged. What its chats cost stays in the statement.",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 202, description = "It is deleted. Its chats are erased within minutes.", body = Done)),
    extensions(("x-fails" = json!(["NoSuchConversation"]))),
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
        message: "The conversation is deleted. Its chats are erased within minutes.",
    })
}
