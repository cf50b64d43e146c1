//! `GET /api/tokens`, `GET /api/token_balance`, `GET /api/tokenbalance`, `GET /api/user/balance` -
//! how many tokens the caller has.
//!
//! Out: `tokens`, `tokens_left` and `remaining_tokens`, which are one number.

use shared::view::Balance;
use shared::{App, Reply, Request, auth, http};

/// Reads the account, strongly consistent.
#[utoipa::path(
    get,
    path = "/api/tokens",
    tag = "Tokens",
    summary = "Read the balance",
    description = "One number under three names.",
    security(("access_token" = [])),
    responses((status = 200, description = "What can be spent.", body = Balance)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    http::ok(&Balance::of(account.balance(app.clock.seconds())))
}
