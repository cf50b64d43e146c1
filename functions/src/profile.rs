//! `GET /api/user/profile` - the caller's own data and balance.

use shared::user::{Balance, User, balance_fields};
use shared::{App, Reply, Request, auth, http};
use utoipa::ToSchema;

/// Reads the account, strongly consistent.
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
    let account = app.store.account(&caller).await?;
    http::ok(&http::merge([account.data(), balance_fields(account.balance(app.clock.seconds()))]))
}

/// An account and its balance.
#[derive(ToSchema)]
pub struct Profile {
    /// The account.
    #[serde(flatten)]
    pub user: User<'static>,
    /// What it can spend.
    #[serde(flatten)]
    pub balance: Balance,
}
