//! `GET /api/conversations/{id}` - one of the caller's conversations. The conversation's messages
//! are in the history: `GET /api/chat?conversation_id={id}`.
//!
//! Out: `id`, `title`, `created`, `last_used`, `pinned` and `instructions`; 404 if the conversation
//! doesn't belong to the caller or was deleted.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Conversation;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Shows a conversation").permits(permits![VERIFY_TOKENS, get(Chats)]);

/// Reads the conversation and the account in parallel, and returns the conversation only if the
/// caller's token is valid for the account.
#[utoipa::path(
    get,
    path = super::path::conversation,
    tag = "Conversations",
    summary = "Read a conversation",
    description = "The history has its messages: `GET /api/chat/?conversation_id={id}`.",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The conversation.", body = Conversation)),
    extensions(("x-fails" = json!([Failure::NoSuchConversation]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchConversation);
    let (account, conversation) = tokio::join!(app.store.account_of(&caller), async {
        Ok::<_, Error>(app.store.conversation(&caller.user_id, &id?).await?)
    });
    account?;
    http::ok(&Conversation::of(&conversation?.ok_or(Error::NoSuchConversation)?))
}
