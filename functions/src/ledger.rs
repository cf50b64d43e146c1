//! `GET /api/user/ledger` - the caller's statement: every change of the balance, newest first.
//!
//! In: `limit` (1 to 100, by default 20), `cursor` from the `Link` of the previous page; `Accept:
//! text/csv` for CSV. Out: rows with the signed amount and the balance after each, as a bare list
//! or as CSV, and a `Link` header to the next page. Tokens that are reserved for a message still
//! count as part of the balance: they have no row yet.

use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::statement::{Of, Statement, StatementRow};
use shared::{App, Reply, Request, auth};

/// The scope of this list's cursors.
const SCOPE: &str = "ledger";

/// Reads a page, and shows it only if the account accepts the token.
#[utoipa::path(
    get,
    path = "/api/user/ledger",
    tag = "Tokens",
    summary = "Read the statement",
    description = "Every change of the balance, newest first, with the balance after it. Tokens that are reserved for a message still count as part of the balance: they have no row yet. With `Accept: text/csv` the reply is a file for spreadsheets.",
    security(("access_token" = [])),
    params(PageQuery),
    responses((
        status = 200,
        description = "A page of the statement.",
        content((Vec<StatementRow> = "application/json"), (String = "text/csv", example = json!("\"id\",\"timestamp\",\"kind\",\"amount\",\"reason\",\"chat_id\",\"balance\"\r\n"))),
    )),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let paging = Paging::of(&req, &[])?;
    let statement = Statement::read(&app, Of::Caller(&caller), &paging).await?;
    let page = paging.prove(&statement.account, SCOPE)?;
    statement.reply(&req, &page, false)
}
