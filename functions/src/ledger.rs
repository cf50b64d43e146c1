//! `GET /api/user/ledger` - the caller's statement: everything that ever moved the balance, newest
//! first.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`; `Accept: text/csv`
//! for CSV. Out: rows with the signed amount and the balance after each, as a bare list or as CSV,
//! and a `Link` header to the next page. Tokens that are held for a running chat count as still
//! there: they have no row yet.

use shared::cursor::Unproven;
use shared::statement::{Of, Page, Row};
use shared::{App, Reply, Request, auth, http, openapi};

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
    params(openapi::Page),
    responses((
        status = 200,
        description = "A page of the statement.",
        content((Vec<Row> = "application/json"), (String = "text/csv", example = json!("\"id\",\"timestamp\",\"kind\",\"amount\",\"reason\",\"chat_id\",\"balance\"\r\n"))),
    )),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let limit = http::page_limit(&req)?;
    let cursor = http::query(&req, "cursor").map(Unproven::parse).transpose()?;
    let page = Page::read(&app, Of::Caller(&caller), cursor.as_ref(), limit).await?;
    if let Some(cursor) = &cursor {
        cursor.prove(&page.account, SCOPE)?;
    }
    let account = page.account.clone();
    page.reply(&req, limit, false, &account, SCOPE)
}
