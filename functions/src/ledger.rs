//! `GET /api/user/ledger` - the caller's statement: everything that ever moved the balance, newest
//! first.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`; `Accept: text/csv`
//! for CSV. Out: rows with the signed amount and the balance after each, as a bare list or as CSV,
//! and a `Link` header to the next page. Tokens that are held for a running chat count as still
//! there: they have no row yet.

use shared::http::Paging;
use shared::openapi::PageQuery;
use shared::statement::{Of, Row, Statement};
use shared::{App, Reply, Request, auth};

/// What the cursors of this list are sealed for.
const SCOPE: &str = "ledger";

/// Reads a page, which is shown only to whom the account admits.
#[utoipa::path(
    get,
    path = "/api/user/ledger",
    tag = "Tokens",
    summary = "Read the statement",
    description = "Everything that ever moved the balance, newest first, and the balance after it. Tokens that are held for a running chat count as still there: they have no row yet. `Accept: text/csv` gets a file for spreadsheets.",
    security(("access_token" = [])),
    params(PageQuery),
    responses((
        status = 200,
        description = "A page of the statement.",
        content((Vec<Row> = "application/json"), (String = "text/csv", example = json!("\"id\",\"timestamp\",\"kind\",\"amount\",\"reason\",\"chat_id\",\"balance\"\r\n"))),
    )),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let paging = Paging::of(&req, &[])?;
    let statement = Statement::read(&app, Of::Caller(&caller), &paging).await?;
    let page = paging.prove(&statement.account, SCOPE)?;
    statement.reply(&req, &page, false)
}
