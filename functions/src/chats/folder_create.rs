//! `POST /api/folders` - create a folder for conversations.
//!
//! Adds the folder, if the account accepts the caller's token.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors, required};
use shared::values::{self, FolderName, Instructions};
use shared::view::Folder;
use shared::{App, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Creates folders").permits(permits![
    VERIFY_TOKENS,
    check(Users(&["user:*"])),
    allow(&[GetItem, UpdateItem], Tokens(&["folders:*"])),
]);

#[derive(Deserialize, ToSchema)]
#[schema(as = FolderRequest, examples(json!({ "name": "Travel", "instructions": "Answer in one sentence." })))]
struct Body {
    #[schema(value_type = FolderName)]
    name: Option<String>,
    /// Instructions for the AI in all conversations of the folder, in addition to the account's and
    /// the conversation's instructions.
    #[schema(value_type = Option<Instructions>)]
    instructions: Option<String>,
}

/// Create a folder
///
/// The folder is the last one in the list. The AI gets the folder's instructions with each message
/// in the folder's conversations. A first message with `folder_id` begins a conversation in the
/// folder, and `PATCH /api/conversations/{id}` moves a conversation to the folder.
#[utoipa::path(
    post,
    path = super::path::folder_create,
    tag = "Folders",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 201, description = "The folder.", body = Folder)),
    extensions(
        ("x-fails" = json!([Failure::TooManyFolders])),
        ("x-gives" = json!({ "/api/folders/{id}": "/id" })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let (name, instructions) = body.validate()?;
    app.store.account_of(&caller).await?;
    let id = app.clock.id().to_string();
    let folder = values::Folder::new(id, &name, instructions.as_ref());
    app.store.add_folder(&caller, &folder).await?;
    http::created(&Folder::of(&folder))
}

impl Body {
    fn validate(self) -> Result<(FolderName, Option<Instructions>)> {
        let mut invalid = FieldErrors::default();
        let Self { name, instructions } = self;
        let name = invalid.check("name", required(name).and_then(|text| FolderName::parse(&text)));
        let instructions =
            instructions.and_then(|text| invalid.check("instructions", Instructions::parse(&text)));
        match name {
            Some(name) if invalid.is_empty() => Ok((name, instructions)),
            _ => Err(invalid.into_error()),
        }
    }
}
