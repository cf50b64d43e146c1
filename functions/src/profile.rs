//! `GET /api/user/profile` - the caller's data and balance.

use serde::Serialize;
use shared::user::Account;
use shared::view::{Balance, User};
use shared::{App, Reply, Request, auth, http};
use utoipa::ToSchema;

/// Strongly consistent.
#[utoipa::path(
    get,
    path = "/api/user/profile",
    tag = "Accounts",
    summary = "Read the profile",
    description = "The account and its balance.",
    security(("access_token" = [])),
    responses((status = 200, description = "The profile.", body = Profile)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    http::ok(&Profile::of(&account, app.clock.seconds()))
}

/// An account and its balance.
#[derive(Serialize, ToSchema)]
pub struct Profile<'a> {
    /// The account.
    #[serde(flatten)]
    user: User<'a>,
    /// The balance.
    #[serde(flatten)]
    balance: Balance,
}

impl<'a> Profile<'a> {
    /// The view of this account at the second `now`.
    pub fn of(account: &'a Account, now: u64) -> Self {
        Self { user: User::of(account), balance: Balance::of(account.balance(now)) }
    }
}
