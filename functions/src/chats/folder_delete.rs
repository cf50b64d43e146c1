//! `DELETE /api/folders/{id}` - delete one of the caller's folders.
//!
//! Deletes the folder, if the account accepts the caller's token.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Deletes folders").permits(permits![
    VERIFY_TOKENS,
    check(Users(&["user:*"])),
    allow(&[GetItem, UpdateItem], Tokens(&["folders:*"])),
]);

/// Delete a folder
///
/// The folder's instructions are deleted, and its conversations stay, without a folder.
#[utoipa::path(
    delete,
    path = super::path::folder_delete,
    tag = "Folders",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The folder is deleted.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchFolder]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    app.store.account_of(&caller).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchFolder)?;
    app.store.delete_folder(&caller, &id).await?;
    tracing::info!(user = caller.user_id, folder = id, "folder deleted");
    http::ok(&Done { message: "The folder is deleted. Its conversations stay." })
}
