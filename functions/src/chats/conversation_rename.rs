//! `PATCH /api/conversations/{id}` - change one of the caller's conversations.
//!
//! Changes the conversation with one conditional write, once the caller's token has been checked
//! against the account. Before the function unpins a conversation, it reads the conversation.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors, required};
use shared::openapi::{IdOrNone, PathId};
use shared::store::ConversationChange;
use shared::values::file::FILES_IN_CONTEXT;
use shared::values::{Instructions, Title};
use shared::view::Conversation;
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Changes titles, instructions, folders and pins of conversations")
        .permits(permits![VERIFY_TOKENS, get(Chats), update(Chats), get(Tokens(&["folders:*"]))]);

#[derive(Deserialize, ToSchema)]
#[schema(as = ConversationChange, examples(json!({ "title": "Fares", "pinned": true })))]
struct Body {
    #[schema(value_type = Option<Title>)]
    title: Option<String>,
    /// Instructions for the AI in this conversation, in addition to the account's instructions.
    #[schema(value_type = Option<Instructions>)]
    instructions: Option<String>,
    /// The folder to which the conversation is moved. An empty text takes the conversation out of
    /// its folder.
    #[schema(value_type = Option<IdOrNone>)]
    folder_id: Option<String>,
    /// Whether the conversation is pinned. Pinned conversations come first in the list.
    pinned: Option<bool>,
    /// The ids of files that the AI should no longer get. They stay with their messages.
    #[schema(min_items = 1, max_items = 20)]
    remove_files: Option<Vec<String>>,
}

// `max_items` above contains this number.
const _: () = assert!(FILES_IN_CONTEXT == 20);

/// Change a conversation
///
/// Changes its title, the instructions that the AI gets with its next message and all later ones,
/// its folder, whether it is pinned, and which files the AI gets. Pinned conversations come first
/// in the list. Missing fields don't change; one of them is required. An empty text removes the
/// instructions, or takes the conversation out of its folder.
#[utoipa::path(
    patch,
    path = super::path::conversation_rename,
    tag = "Conversations",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The conversation after the change.", body = Conversation)),
    extensions(("x-fails" = json!([Failure::NoSuchConversation, Failure::NoSuchFolder])), ("x-narrow" = json!({ "anyOf": [
        { "required": ["title"], "properties": { "title": { "type": "string" } } },
        { "required": ["instructions"], "properties": { "instructions": { "type": "string" } } },
        { "required": ["folder_id"], "properties": { "folder_id": { "type": "string" } } },
        { "required": ["pinned"], "properties": { "pinned": { "type": "boolean" } } },
        { "required": ["remove_files"], "properties": { "remove_files": { "type": "array", "items": { "type": "string" } } } },
    ] }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let change = http::json::<Body>(&req)?.validate()?;
    let folder = change.folder.as_deref().filter(|id| !id.is_empty());
    let (account, found) =
        tokio::join!(app.store.account_of(&caller), app.store.folder(&caller.user_id, folder));
    account?;
    if folder.is_some() && found?.is_none() {
        return Err(Error::NoSuchFolder);
    }
    let id = http::path_id(&req).ok_or(Error::NoSuchConversation)?;
    let now = app.clock.millis();
    let changed = app.store.change_conversation(&caller.user_id, &id, &change, now).await?;
    http::ok(&Conversation::of(&app.store.in_existing_folder(&caller.user_id, changed).await?))
}

impl Body {
    fn validate(self) -> Result<ConversationChange> {
        let mut invalid = FieldErrors::default();
        let Self { title, instructions, folder_id, pinned, remove_files } = self;
        let has_text = title.is_some() || instructions.is_some() || folder_id.is_some();
        if !has_text && pinned.is_none() && remove_files.is_none() {
            let sentence = "Send title, instructions, folder_id, pinned or remove_files.";
            invalid.note("title", sentence);
        }
        let leaving = remove_files.as_ref().map_or(1, Vec::len);
        if leaving == 0 || leaving > FILES_IN_CONTEXT {
            let sentence = format!("Send the ids of 1 to {FILES_IN_CONTEXT} files.");
            invalid.note("remove_files", sentence);
        }
        let title = title.and_then(|title| {
            invalid.check("title", required(Some(title)).and_then(|text| Title::parse(&text)))
        });
        let instructions =
            instructions.and_then(|text| invalid.check("instructions", Instructions::parse(&text)));
        let folder = folder_id.and_then(|text| match text.as_str() {
            "" => Some(text),
            id => {
                let id = http::id(id).ok_or("This must be the id of a folder.");
                invalid.check("folder_id", id)
            }
        });
        if invalid.is_empty() {
            let remove_files = remove_files.unwrap_or_default();
            Ok(ConversationChange { title, instructions, folder, pinned, remove_files })
        } else {
            Err(invalid.into_error())
        }
    }
}
