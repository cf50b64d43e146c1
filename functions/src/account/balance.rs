//! `GET /api/tokens`, `GET /api/token_balance`, `GET /api/tokenbalance`, `GET /api/user/balance` -
//! the caller's balance.
//!
//! Out: `tokens`, `tokens_left` and `remaining_tokens`, which are the same number, and
//! `tokens_held`, the tokens held for messages whose answers aren't finished.

use shared::view::CurrentBalance;
use shared::{App, Reply, Request, auth, http};

/// Reads the balance with strong consistency.
#[utoipa::path(
    get,
    path = super::path::balance,
    tag = "Tokens",
    summary = "Read the balance",
    description = "The balance, a number with three names, and the tokens that are held for messages whose answer isn't finished.",
    security(("access_token" = [])),
    responses((status = 200, description = "The balance.", body = CurrentBalance)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    http::ok(&CurrentBalance::of(&account, app.clock.seconds()))
}
