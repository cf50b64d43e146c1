//! `GET /api/user/ledger` - the caller's statement: everything that ever moved the balance, newest first.
//!
//! In: `limit` (1 to 100, normally 20), `cursor` from the last page's `Link`; `Accept: text/csv` for CSV.
//! Out: rows with the signed amount and the balance after each, as a bare list or as CSV, and a `Link` header to the next page. Tokens
//! that are held for a running chat count as still there: they have no row yet.

use std::borrow::Cow;

use serde::Serialize;
use shared::auth::AccessToken;
use shared::cursor::Unproven;
use shared::store::Entry;
use shared::user::Account;
use shared::{App, Error, Reply, Request, Result, auth, clock, cursor, http};

/// What the cursors of this list are sealed for.
const SCOPE: &str = "ledger";

/// How often the first page is read until the account didn't move meanwhile.
const READINGS: usize = 10;

/// A row of a statement.
#[derive(Serialize)]
struct Row {
    id: String,
    timestamp: String,
    kind: &'static str,
    amount: i64,
    reason: String,
    chat_id: Option<String>,
    balance: i64,
}

/// Some rows of a ledger, and the balance after the first of them.
struct Page {
    account: Account,
    balance: i64,
    entries: Vec<Entry>,
    more: bool,
}

/// Reads a page, computes the balances backwards, and shows it in the form that was asked for.
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let limit = http::page_limit(&req)?;
    let page = match http::query(&req, "cursor") {
        None => first_page(&app, &caller, limit + 1).await?,
        Some(cursor) => later_page(&app, &caller, &Unproven::parse(cursor)?, limit + 1).await?,
    };

    let more = page.more || page.entries.len() > limit;
    let (rows, balance) = statement(page.entries.into_iter().take(limit), page.balance);
    let last = rows.last().filter(|_| more).map(|row| format!("{} {balance}", row.id));
    let mut response = if http::wants_csv(&req) { csv(rows)? } else { http::ok(&rows)? };
    if let Some(position) = last {
        let cursor = cursor::seal(&page.account, SCOPE, &position);
        http::link_next(&mut response, &req, &["limit"], &cursor)?;
    }
    Ok(response)
}

/// The newest rows, and the balance that the account had when they were all: it is read before and after them, and they are read
/// again where it moved.
async fn first_page(app: &App, caller: &AccessToken, count: usize) -> Result<Page> {
    let mut before = app.store.account(caller).await?;
    for _ in 0..READINGS {
        let (entries, more) = app.store.entries(&caller.user_id, None, count).await?;
        let account = app.store.account(caller).await?;
        if (account.granted, account.spent) == (before.granted, before.spent) {
            return Ok(Page { balance: account.booked(), account, entries, more });
        }
        before = account;
    }
    Err(Error::Unavailable("the account kept moving while its statement was read".into()))
}

/// The rows after a cursor, which carries their balance. They are read at the same time as the account, and shown only to whom the
/// account admits.
async fn later_page(app: &App, caller: &AccessToken, cursor: &Unproven, count: usize) -> Result<Page> {
    let (before, balance) = cursor.position().split_once(' ').filter(|(before, _)| !before.is_empty()).ok_or(Error::InvalidCursor)?;
    let balance = balance.parse().map_err(|_| Error::InvalidCursor)?;
    let (account, read) = tokio::join!(app.store.account(caller), app.store.entries(&caller.user_id, Some(before), count));
    let account = account?;
    cursor.prove(&account, SCOPE)?;
    let (entries, more) = read?;
    Ok(Page { account, balance, entries, more })
}

/// The rows of these entries, newest first, where `balance` is the one after the first; and the balance before the last.
fn statement(entries: impl Iterator<Item = Entry>, mut balance: i64) -> (Vec<Row>, i64) {
    let row = |entry: Entry| {
        let after = balance;
        balance = balance.saturating_sub(entry.amount);
        Row {
            id: entry.entry_id,
            timestamp: clock::rfc3339(entry.time),
            kind: entry.kind.word(),
            amount: entry.amount,
            reason: entry.reason,
            chat_id: entry.chat_id,
            balance: after,
        }
    };
    let rows = entries.map(row).collect();
    (rows, balance)
}

fn csv(rows: Vec<Row>) -> Reply {
    let header = ["id", "timestamp", "kind", "amount", "reason", "chat_id", "balance"].map(Cow::from).to_vec();
    let cells = |row: Row| -> Vec<Cow<'static, str>> {
        let (amount, balance) = (row.amount.to_string(), row.balance.to_string());
        vec![
            row.id.into(),
            row.timestamp.into(),
            row.kind.into(),
            amount.into(),
            row.reason.into(),
            row.chat_id.unwrap_or_default().into(),
            balance.into(),
        ]
    };
    http::csv([header].into_iter().chain(rows.into_iter().map(cells)))
}
