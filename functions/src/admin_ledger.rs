//! `GET /api/admin/users/{id}/ledger` - a user's statement, newest first. For administrators.
//!
//! In: `limit` (1 to 100, by default 20), `cursor` from the `Link` of the previous page; `Accept:
//! text/csv` for CSV. Out: the user's view of it, and the `actor` of each row, which is an
//! account's id or `manage`.

use shared::http::Paging;
use shared::openapi::{PageQuery, PathId};
use shared::statement::{Of, Period, Statement, StatementRow};
use shared::{App, Reply, Request, auth, http};

/// Finds the account at the same time as the administrator's, and then reads the page.
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}/ledger",
    tag = "Administration",
    summary = "Read a user's statement",
    description = "The user's view of it, and the actor of each row. With `Accept: text/csv` the reply is a file for spreadsheets.",
    security(("access_token" = [])),
    params(PathId, PageQuery),
    responses((
        status = 200,
        description = "A page of the statement.",
        content((Vec<StatementRow> = "application/json"), (String = "text/csv", example = json!("\"id\",\"timestamp\",\"kind\",\"amount\",\"reason\",\"chat_id\",\"balance\",\"actor\"\r\n"))),
    )),
    extensions(("x-fails" = json!(["NoSuchUser"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let id = http::path_id(&req);
    let (administrator, found) =
        auth::administrator(&app, &req, app.store.user_with_id(id.as_deref())).await?;
    let account = app.store.account_of_user(&found).await?;
    let paging = Paging::of(&req, &[])?;

    let scope = format!("admin/ledger?of={}", account.id);
    let page = paging.prove(administrator.account(), &scope)?;
    let statement =
        Statement::read(&app, Of::Account(&account), &paging, Period::default()).await?;
    statement.reply(&req, &page, true)
}
