//! `GET /api/user/profile` - the caller's own data and balance.

use shared::user::balance_fields;
use shared::{App, Reply, Request, auth, http};

/// Reads the account, strongly consistent.
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account(&caller).await?;
    http::ok(&http::merge([account.data(), balance_fields(account.balance(app.clock.seconds()))]))
}
