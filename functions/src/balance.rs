//! `GET /api/tokens`, `GET /api/token_balance`, `GET /api/tokenbalance`, `GET /api/user/balance` -
//! the caller's balance.
//!
//! Out: `tokens`, `tokens_left` and `remaining_tokens`, which are the same number.

use shared::view::Balance;
use shared::{App, Reply, Request, auth, http};

/// Strongly consistent.
#[utoipa::path(
    get,
    path = "/api/tokens",
    tag = "Tokens",
    summary = "Read the balance",
    description = "The balance. Its three fields have the same number.",
    security(("access_token" = [])),
    responses((status = 200, description = "The balance.", body = Balance)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    http::ok(&Balance::of(account.balance(app.clock.seconds())))
}
