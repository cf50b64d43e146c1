//! `PATCH /api/folders/{id}` - change one of the caller's folders.
//!
//! Changes the folder, if the account accepts the caller's token.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors, required};
use shared::openapi::PathId;
use shared::values::{FOLDERS, FolderChange, FolderName, Instructions, Whole};
use shared::view::Folder;
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Changes folders").permits(permits![
    VERIFY_TOKENS,
    check(Users(&["user:*"])),
    allow(&[GetItem, UpdateItem], Tokens(&["folders:*"])),
]);

#[derive(Deserialize, ToSchema)]
#[schema(as = FolderChange, examples(json!({ "name": "Journeys", "position": 0 })))]
struct Body {
    #[schema(value_type = Option<FolderName>)]
    name: Option<String>,
    /// Instructions for the AI in all conversations of the folder.
    #[schema(value_type = Option<Instructions>)]
    instructions: Option<String>,
    /// The folder's position in the list. The first folder has the position 0. A position after the
    /// end of the list counts as its end.
    #[schema(value_type = Option<u64>, maximum = 29)]
    position: Option<Whole<u64>>,
}

/// Change a folder
///
/// Changes its name, the instructions that the AI gets with the next messages in the folder's
/// conversations, and its position in the list. Missing fields don't change; one of them is
/// required. An empty text removes the instructions.
#[utoipa::path(
    patch,
    path = super::path::folder_change,
    tag = "Folders",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The folder after the change.", body = Folder)),
    extensions(("x-fails" = json!([Failure::NoSuchFolder])), ("x-narrow" = json!({ "anyOf": [
        { "required": ["name"], "properties": { "name": { "type": "string" } } },
        { "required": ["instructions"], "properties": { "instructions": { "type": "string" } } },
        { "required": ["position"], "properties": { "position": { "type": "integer" } } },
    ] }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let change = body.validate()?;
    app.store.account_of(&caller).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchFolder)?;
    http::ok(&Folder::of(&app.store.change_folder(&caller, &id, &change).await?))
}

impl Body {
    fn validate(self) -> Result<FolderChange> {
        let mut invalid = FieldErrors::default();
        let Self { name, instructions, position } = self;
        if name.is_none() && instructions.is_none() && position.is_none() {
            invalid.note("name", "Send name, instructions or position.");
        }
        let name = name.and_then(|name| {
            invalid.check("name", required(Some(name)).and_then(|text| FolderName::parse(&text)))
        });
        let instructions =
            instructions.and_then(|text| invalid.check("instructions", Instructions::parse(&text)));
        let position = position.and_then(|Whole(position)| {
            let position = usize::try_from(position).ok().filter(|position| *position < FOLDERS);
            let wrong = format!("This must be a whole number of at most {}.", FOLDERS - 1);
            invalid.check("position", position.ok_or(wrong))
        });
        if invalid.is_empty() {
            Ok(FolderChange { name, instructions, position })
        } else {
            Err(invalid.into_error())
        }
    }
}
