//! `GET /api/user/ledger`, `GET /api/user/ledger/months` - the caller's statement, and its monthly
//! totals.
//!
//! Reads the page, and returns it only if the caller's token is valid for the account.

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

/// Read the statement
///
/// Every change of the balance, newest first, with the balance after it, the beginning of the
/// message that was paid, and the name of the API key that sent it. Tokens that are held for a
/// message still count as part of the balance: they have no row yet. With `model` or `key`, grants,
/// adjustments and refunds are left out, and each balance still counts all changes. A request reads
/// a limited number of rows: with `from`, `to`, `model` or `key` a page may have few or none, and
/// still have a next page. With `Accept: text/csv` the reply is a file for spreadsheets.
#[utoipa::path(
    get,
    path = super::path::ledger,
    tag = "Tokens",
    security(("access_token" = [])),
    params(PageQuery, Days, ModelAndKey),
    responses((
        status = 200,
        description = "A page of the statement.",
        content(
            (Vec<StatementRow> = "application/json"),
            (String = "text/csv", example = json!(
                "\"id\",\"timestamp\",\"kind\",\"amount\",\"reason\",\"chat_id\",\"balance\",\
                 \"excerpt\",\"key_name\",\"model\",\"prompt_tokens\",\"cached_tokens\",\
                 \"completion_tokens\",\"written_tokens\",\"money\",\"currency\"\r\n"
            ))
        ),
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

/// Read the totals of each month
///
/// The months in UTC that have changes of the balance, newest first. A request reads a limited
/// number of changes: a page may be short or empty, and still have a next page.
#[utoipa::path(
    get,
    path = MONTHS_PATH,
    operation_id = "ledger_months",
    tag = "Tokens",
    security(("access_token" = [])),
    params(PageQuery),
    responses((status = 200, description = "A page of months.", body = Vec<MonthTotals>)),
)]
pub(crate) async fn months(app: &App, req: &Request, caller: &AccessToken) -> Reply {
    let paging = Paging::from_request(req, &[])?;
    let months = Months::read(app, caller, &paging).await?;
    months.reply(&paging.prove(&months.account, MONTHS)?)
}
