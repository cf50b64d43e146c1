//! `GET /api/user/ledger`, `GET /api/user/ledger/months` - the caller's statement, which lists
//! every change in the balance, newest first, and the monthly totals. In: `limit` (1 to 100, by
//! default 20), `cursor` from the `Link` of the previous page. The list of rows also accepts `from`
//! and `to`, the first and last day in UTC (`2026-11-20`), `model` for the rows for which one model
//! was paid, `key` for the rows of messages that one API key sent, and `Accept: text/csv` for CSV.
//! Out: a `Link` header to the next page, and a bare list or CSV. Each row contains the signed
//! amount, the balance after it, the beginning of its message (`excerpt`), and the name and the id
//! of the API key that sent the message. Each month contains `chats` (paid messages), `spent`,
//! `granted`, and the `balance` at its end. Tokens that are held for a message don't have a row yet,
//! so the balances in the statement still include them. A request reads a limited number of rows.
//! Therefore a page of months, of rows from earlier days, or of rows of a model or an API key may
//! contain few items, or none at all, even though there is a next page.

use shared::http::{self, Paging};
use shared::openapi::{Days, ModelAndKey, PageQuery};
use shared::statement::{
    MonthTotals, Months, Statement, StatementFilter, StatementOwner, StatementRow,
};
use shared::values::AccessToken;
use shared::{App, Reply, Request, auth};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows statements").permits(permits![
    VERIFY_TOKENS,
    get_many(Chats),
    get_many(Tokens(&["apikey:*"])),
    query(Ledger),
]);

/// The cursor scope of the statement without a filter.
const SCOPE: &str = "ledger";

/// The cursor scope of the list of months.
const MONTHS: &str = "ledger/months";

/// The path of the list of months.
pub(crate) const MONTHS_PATH: &str = "/api/user/ledger/months";

/// Reads the page, and returns it only if the caller's token is valid for the account.
#[utoipa::path(
    get,
    path = super::path::ledger,
    tag = "Tokens",
    summary = "Read the statement",
    description = "Every change of the balance, newest first, with the balance after it, the beginning of the message that was paid, and the name of the API key that sent it. Tokens that are held for a message still count as part of the balance: they have no row yet. With `model` or `key`, grants, adjustments and refunds are left out, and each balance still counts all changes. A request reads a limited number of rows: with `from`, `to`, `model` or `key` a page may have few or none, and still have a next page. With `Accept: text/csv` the reply is a file for spreadsheets.",
    security(("access_token" = [])),
    params(PageQuery, Days, ModelAndKey),
    responses((
        status = 200,
        description = "A page of the statement.",
        content((Vec<StatementRow> = "application/json"), (String = "text/csv", example = json!("\"id\",\"timestamp\",\"kind\",\"amount\",\"reason\",\"chat_id\",\"balance\",\"excerpt\",\"key_name\",\"model\",\"prompt_tokens\",\"cached_tokens\",\"completion_tokens\",\"written_tokens\",\"money\",\"currency\"\r\n"))),
    )),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    if http::path(&req).trim_end_matches('/').ends_with("/months") {
        return months(&app, &req, &caller).await;
    }
    let filter = StatementFilter::from_query(&req)?;
    let paging = Paging::from_request(&req, StatementFilter::PARAMETERS)?;
    let statement =
        Statement::read(&app, StatementOwner::Caller(&caller), &paging, &filter, true).await?;
    let scope = filter.scope(SCOPE);
    let page = paging.prove(&statement.account, &scope)?;
    statement.reply(&req, &page, false)
}

#[utoipa::path(
    get,
    path = MONTHS_PATH,
    operation_id = "ledger_months",
    tag = "Tokens",
    summary = "Read the totals of each month",
    description = "The months in UTC that have changes of the balance, newest first. A request reads a limited number of changes: a page may be short or empty, and still have a next page.",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of months.", body = Vec<MonthTotals>)),
)]
pub(crate) async fn months(app: &App, req: &Request, caller: &AccessToken) -> Reply {
    let paging = Paging::from_request(req, &[])?;
    let months = Months::read(app, caller, &paging).await?;
    months.reply(&paging.prove(&months.account, MONTHS)?)
}
