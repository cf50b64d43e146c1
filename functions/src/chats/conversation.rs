//! `GET /api/conversations/{id}` - one of the caller's conversations.
//!
//! Reads the conversation and the account in parallel, and returns the conversation only if the
//! caller's token is valid for the account. If an earlier release hasn't counted what the
//! conversation was charged, adds up the costs of its messages.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Conversation;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows a conversation").permits(permits![
    VERIFY_TOKENS,
    allow(&[GetItem, BatchGetItem, UpdateItem], Chats),
    query(ChatsByConversation),
    get(Tokens(&["folders:*"])),
]);

/// Read a conversation
///
/// The history has its messages: `GET /api/chat/?conversation_id={id}`.
#[utoipa::path(
    get,
    path = super::path::conversation,
    tag = "Conversations",
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
    let now = app.clock.seconds();
    let conversation = conversation?.filter(|conversation| !conversation.is_expired(now));
    let conversation = conversation.ok_or(Error::NoSuchConversation)?;
    let conversation = app.store.count_charged(conversation).await?;
    http::ok(&Conversation::of(&app.store.in_existing_folder(&caller.user_id, conversation).await?))
}
