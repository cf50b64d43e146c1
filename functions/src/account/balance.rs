//! `GET /api/tokens`, `GET /api/token_balance`, `GET /api/tokenbalance`, `GET /api/balance`,
//! `GET /api/user/balance` - the caller's balance.
//!
//! Reads the balance with strong consistency. First tops up the balance if an allowance is due.

use shared::view::BalanceOfCaller;
use shared::{App, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows balances").canary().permits(permits![
    scan(Keys),
    get(Users(&["user:*"])),
    update(Users(&["user:*"])).when("GivesAllowances"),
    put(Ledger).when("GivesAllowances"),
]);

/// Read the balance
///
/// The balance, a number with four names, and the tokens that are held for messages whose answer
/// isn't finished. If the operator gives allowances, the balance is first topped up, once in each
/// period.
#[utoipa::path(
    get,
    path = super::path::balance,
    tag = "Tokens",
    security(("access_token" = [])),
    responses((status = 200, description = "The balance.", body = BalanceOfCaller)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller_of_old_client(&app, &req).await?;
    let of = app.config.allowances;
    let account = app.store.filled_account_of(&caller, of, app.clock.seconds()).await?;
    http::ok(&BalanceOfCaller::of(&account, of, app.clock.seconds()))
}
