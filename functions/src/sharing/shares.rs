//! `GET /api/user/shares` - all of the caller's shared chats, newest first, as a bare list.
//!
//! Reads the account and the list of its shared chats in parallel, and then the shared chats. An
//! account has few of them, so the list isn't split into pages.

use shared::values::SHARES;
use shared::view::OwnShare;
use shared::{App, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lists a user's shared chats").permits(permits![
    VERIFY_TOKENS,
    get(Tokens(&["shares:*"])),
    get_many(Tokens(&["share:*"])),
]);

/// List your shared chats
#[utoipa::path(
    get,
    path = super::path::shares,
    tag = "Shared chats",
    description = format!("All shared chats of the account, newest first: at most {SHARES}."),
    security(("access_token" = [])),
    responses((status = 200, description = "The shared chats.", body = Vec<OwnShare>)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let (account, shares) =
        tokio::join!(app.store.account_of(&caller), app.store.shares_of(&caller.user_id));
    account?;
    let shares = shares?;
    let data: Vec<_> = shares.iter().map(OwnShare::of).collect();
    http::ok(&data)
}
