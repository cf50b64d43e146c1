//! `DELETE /api/user/shares/{id}` - end one of the caller's shared chats.
//!
//! Deletes the shared chat with its messages and the reports about it in one transaction.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Ends shared chats").permits(permits![
    VERIFY_TOKENS,
    get(Tokens(&["share:*"])),
    delete(Tokens(&["share:*", "report:*"])),
    update(Tokens(&["shares:*"])),
]);

/// End a shared chat
///
/// The link stops working, and the copies of the messages are deleted. Caches may show the shared
/// chat for another minute.
#[utoipa::path(
    delete,
    path = super::path::share_end,
    tag = "Shared chats",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The chat is no longer shared.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchShare]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    let id = http::path_id(&req).ok_or(Error::NoSuchShare)?;
    app.store.end_share(&account, &id).await?;
    tracing::info!(user = account.id, share = id, "a shared chat was ended");
    http::ok(&Done { message: "The chat is no longer shared." })
}
