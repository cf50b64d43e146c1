//! `GET /api/files/{id}` - one of the caller's files, with its content.
//!
//! Reads the file and the account in parallel, and returns the file only if the caller's token is
//! valid for the account.

use shared::error::Failure;
use shared::openapi::FileId;
use shared::view::FileWithContent;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows a file").permits(permits![
    VERIFY_TOKENS,
    get(Files),
    allow(&[GetItem, BatchGetItem], Chats),
]);

/// Read a file
///
/// A file that was attached to a message, with its content: a picture's bytes as Base64 in `data`,
/// or a text in `text`.
#[utoipa::path(
    get,
    path = super::path::file_read,
    tag = "Chat",
    security(("access_token" = [])),
    params(FileId),
    responses((status = 200, description = "The file.", body = FileWithContent)),
    extensions(("x-fails" = json!([Failure::NoSuchFile]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::file_id(&req).ok_or(Error::NoSuchFile);
    let (account, file) = tokio::join!(app.store.account_of(&caller), async {
        Ok::<_, Error>(app.store.file(&caller.user_id, &id?).await?)
    });
    account?;
    let file = file?.filter(|file| !file.is_expired(app.clock.seconds()));
    http::ok(&FileWithContent::of(file.ok_or(Error::NoSuchFile)?))
}
