//! `GET /api/tokens`, `GET /api/token_balance`, `GET /api/tokenbalance`, `GET /api/user/balance` - how many tokens the caller has.
//!
//! Out: `tokens`, `tokens_left` and `remaining_tokens`, which are one number.

use shared::user::balance_fields;
use shared::{App, Reply, Request, auth, http};

/// Reads the account, strongly consistent.
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account(&caller).await?;
    http::ok(&balance_fields(account.balance(app.clock.seconds())))
}
