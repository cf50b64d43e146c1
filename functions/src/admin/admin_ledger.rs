//! `GET /api/admin/users/{id}/ledger` - a user's statement, newest first. For administrators.
//!
//! Reads the user's account and the administrator's account in parallel, and then the page. If the
//! operator has closed the messages to administrators, rows don't contain an `excerpt`. If a row
//! contains one, the audit log names the administrator before the reply is sent.

use shared::config::ChatAccess;
use shared::error::Failure;
use shared::http::{self, Paging};
use shared::openapi::{Days, ModelAndKey, PageQuery, PathId};
use shared::statement::{Statement, StatementFilter, StatementOwner, StatementRow};
use shared::store::Reading;
use shared::{App, Reply, Request, auth};

use super::admin_chats::ChatReader;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Shows administrators a statement").permits(permits![
        VERIFY_TOKENS,
        query(UsersByTime),
        query(Ledger),
        get_many(Chats),
        get_many(Tokens(&["apikey:*"])),
        put(Standing),
    ]);

/// Read a user's statement
///
/// The user's view of it, and the actor of each row. With `Accept: text/csv` the reply is a file
/// for spreadsheets.
#[utoipa::path(
    get,
    path = super::path::admin_ledger,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId, PageQuery, Days, ModelAndKey),
    responses((
        status = 200,
        description = "A page of the statement.",
        content(
            (Vec<StatementRow> = "application/json"),
            (String = "text/csv", example = json!(
                "\"id\",\"timestamp\",\"kind\",\"amount\",\"reason\",\"chat_id\",\"balance\",\
                 \"actor\",\"excerpt\",\"key_name\",\"model\",\"prompt_tokens\",\"cached_tokens\",\
                 \"completion_tokens\",\"written_tokens\",\"money\",\"currency\"\r\n"
            ))
        ),
    )),
    extensions(("x-fails" = json!([Failure::NoSuchUser]))),
)]
pub async fn handle(reader: ChatReader<App>, req: Request) -> Reply {
    let app = &reader.app;
    let id = http::path_id(&req);
    let read = async { Ok(app.store.user_with_id(id.as_deref()).await?) };
    let (administrator, found) = auth::administrator(app, &req, read).await?;
    let account = app.store.account_of_user(&found).await?;
    let filter = StatementFilter::from_query(&req)?;
    let paging = Paging::from_request(&req, StatementFilter::PARAMETERS)?;

    let scope = filter.scope(&format!("admin/ledger?of={}", account.id));
    let page = paging.prove(administrator.account(), &scope)?;
    let with_messages = reader.require(ChatAccess::Read).is_ok();
    let statement =
        Statement::read(app, StatementOwner::Account(&account), &paging, &filter, with_messages)
            .await?;
    if statement.shows_messages() {
        let reading = Reading::OfUser(&account.id);
        app.store.record_reading(&administrator, reading, &app.clock).await?;
    }
    statement.reply(&req, &page, true)
}
