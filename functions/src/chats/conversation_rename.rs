//! `PATCH /api/conversations/{id}` - change the title or the AI instructions of one of the caller's
//! conversations, or pin or unpin it.
//!
//! In: at least one of `title` (1 to 100 characters), `instructions` (at most 2,000 bytes) and
//! `pinned` (true or false). An empty string removes the instructions. Out: the conversation; 404
//! if it doesn't belong to the caller or was deleted.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors, required};
use shared::openapi::PathId;
use shared::store::ConversationChange;
use shared::values::{Instructions, Title};
use shared::view::Conversation;
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Changes titles, instructions and pins of conversations").permits(permits![
        VERIFY_TOKENS,
        get(Chats),
        update(Chats),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = ConversationChange, examples(json!({ "title": "Fares", "pinned": true })))]
struct Body {
    #[schema(value_type = Option<Title>)]
    title: Option<String>,
    /// Instructions for the AI in this conversation, in addition to the account's instructions.
    #[schema(value_type = Option<Instructions>)]
    instructions: Option<String>,
    /// Whether the conversation is pinned. Pinned conversations come first in the list.
    pinned: Option<bool>,
}

/// Changes the conversation with one conditional write, once the caller's token has been checked
/// against the account. Before the function unpins a conversation, it reads the conversation.
#[utoipa::path(
    patch,
    path = super::path::conversation_rename,
    tag = "Conversations",
    summary = "Change a conversation",
    description = "Changes its title, the instructions that the AI gets with its next message and all later ones, and whether it is pinned: pinned conversations come first in the list. Missing fields don't change; one of them is required.",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The conversation after the change.", body = Conversation)),
    extensions(("x-fails" = json!([Failure::NoSuchConversation])), ("x-narrow" = json!({ "anyOf": [
        { "required": ["title"], "properties": { "title": { "type": "string" } } },
        { "required": ["instructions"], "properties": { "instructions": { "type": "string" } } },
        { "required": ["pinned"], "properties": { "pinned": { "type": "boolean" } } },
    ] }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let change = http::json::<Body>(&req)?.validate()?;
    app.store.account_of(&caller).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchConversation)?;
    let now = app.clock.millis();
    let changed = app.store.change_conversation(&caller.user_id, &id, &change, now).await?;
    http::ok(&Conversation::of(&changed))
}

impl Body {
    fn validate(self) -> Result<ConversationChange> {
        let mut invalid = FieldErrors::default();
        let Self { title, instructions, pinned } = self;
        if title.is_none() && instructions.is_none() && pinned.is_none() {
            invalid.note("title", "Send title, instructions or pinned.");
        }
        let title = title.and_then(|title| {
            invalid.check("title", required(Some(title)).and_then(|text| Title::parse(&text)))
        });
        let instructions =
            instructions.and_then(|text| invalid.check("instructions", Instructions::parse(&text)));
        if invalid.is_empty() {
            Ok(ConversationChange { title, instructions, pinned })
        } else {
            Err(invalid.into_error())
        }
    }
}
