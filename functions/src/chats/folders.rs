//! `GET /api/folders` - the caller's folders of conversations, in the caller's order.
//!
//! Reads the folders and the account in parallel.

use shared::view::Folder;
use shared::{App, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lists folders").permits(permits![VERIFY_TOKENS, get(Tokens(&["folders:*"]))]);

/// List folders
///
/// All folders, in the order that the user has chosen. `GET /api/conversations?folder_id={id}`
/// lists a folder's conversations.
#[utoipa::path(
    get,
    path = super::path::folders,
    tag = "Folders",
    security(("access_token" = [])),
    responses((status = 200, description = "The folders.", body = Vec<Folder>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let (account, folders) =
        tokio::join!(app.store.account_of(&caller), app.store.folders(&caller.user_id));
    account?;
    http::ok(&folders?.iter().map(Folder::of).collect::<Vec<_>>())
}
