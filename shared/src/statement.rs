//! Statements: the rows of an account's ledger, newest first, each with the balance after it, which
//! is computed backwards; and the totals of months. Administrators also see the actor of each row.

mod months;

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::{Day, least_id};
use crate::http::{self, Paging, ProvenPage, Reply, Request};
use crate::values::{AccessToken, Account, Entry};
use crate::view::LedgerRow;
use crate::{App, Error, Result};

pub use self::months::{MonthTotals, Months};

/// How often the first page is read at most, until the account doesn't change meanwhile.
const READINGS: usize = 10;

/// How many rows a request reads at most that it doesn't show, for a balance or for totals.
const COMPUTED: usize = 2000;

/// A row of a statement.
#[derive(Serialize, ToSchema)]
pub struct StatementRow<'a> {
    /// The row.
    #[serde(flatten)]
    row: LedgerRow<'a>,
    /// The balance after it.
    #[schema(examples(3900))]
    balance: i64,
    /// The actor: the id of an account, or `manage`. Only for administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("manage"))]
    actor: Option<&'a str>,
    /// The beginning of the message, on one line. Null without a message, and if it was deleted. For
    /// administrators also null if the operator lets them read no messages.
    #[schema(required, examples("Hello!"))]
    excerpt: Option<String>,
    /// The name of the API key that sent the message. Null if a session did, or the key was revoked.
    #[schema(required, examples("a program"))]
    key_name: Option<&'a str>,
}

/// The most characters of the beginning of a message.
const EXCERPT: usize = 60;

/// The beginning of a message, on one line.
fn excerpt(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        None => line,
        Some(_) => {
            let beginning: String = line.chars().take(EXCERPT - 1).collect();
            format!("{}…", beginning.trim_end())
        }
    }
}

/// Whose statement it is.
#[derive(Clone, Copy, Debug)]
pub enum StatementOwner<'a> {
    /// The caller's, if the account accepts the token.
    Caller(&'a AccessToken),
    /// This account's, which was just read for an administrator.
    Account(&'a Account),
}

/// The days that a statement shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Period {
    from: Option<Day>,
    to: Option<Day>,
}

/// A page of a statement: some entries of a ledger, and the balance after the first of them.
pub struct Statement {
    /// The account, as it was read with the entries.
    pub account: Account,
    balance: i64,
    entries: Vec<Entry>,
    /// The messages of the entries, by id.
    messages: HashMap<String, String>,
    /// The names of the API keys of the entries, by id.
    key_names: HashMap<String, String>,
    /// Where the next page begins, if there may be one.
    next: Option<String>,
}

/// Entries of a ledger as they were read, newest first.
struct Rows {
    /// The account, as it was read with them.
    account: Account,
    /// The balance after the first of them.
    balance: i64,
    entries: Vec<Entry>,
    /// Whether older ones may follow.
    more: bool,
}

impl StatementOwner<'_> {
    async fn read(self, app: &App) -> Result<Account> {
        Ok(match self {
            Self::Caller(caller) => app.store.account_of(caller).await?,
            Self::Account(account) => app.store.reread(account).await?,
        })
    }

    /// The account, read unless it is known.
    async fn known(self, app: &App) -> Result<Account> {
        match self {
            Self::Account(account) => Ok(account.clone()),
            Self::Caller(_) => self.read(app).await,
        }
    }

    fn user_id(&self) -> &str {
        match self {
            Self::Caller(caller) => &caller.user_id,
            Self::Account(account) => &account.id,
        }
    }
}

impl Period {
    /// Reads the query parameters `from` and `to`: days in UTC, both included.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn from_query(req: &Request) -> Result<Self> {
        let (from, to) = http::query_days(req)?;
        Ok(Self { from, to })
    }

    /// The scope of the cursors of a list for these days.
    pub fn scope(self, list: &str) -> String {
        let text = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
        match self {
            Self { from: None, to: None } => list.to_owned(),
            Self { from, to } => format!("{list}?from={}&to={}", text(from), text(to)),
        }
    }

    /// Sorts before the rows of these days, and after all older ones.
    fn first(self) -> Option<String> {
        self.from.map(|day| least_id(day.begins()))
    }

    /// Sorts after the rows of these days, and before all newer ones.
    fn end(self) -> Option<String> {
        self.to.map(|day| least_id(day.after(1).begins()))
    }

    /// Whether there may be rows after these days that are older than the row `before`. `now` is in
    /// milliseconds.
    fn is_past(self, before: Option<&str>, now: u64) -> bool {
        let is_past = |end: String| least_id(now) >= end && before.is_none_or(|id| id > &*end);
        self.end().is_some_and(is_past)
    }
}

impl Rows {
    /// At most `count` rows: the newest ones, or those after a row and the balance before it.
    ///
    /// # Errors
    /// Those of reading the account; [`Error::Unavailable`] if the account kept changing while it
    /// was read.
    async fn read(
        app: &App,
        owner: StatementOwner<'_>,
        after: Option<(&str, i64)>,
        count: usize,
    ) -> Result<Self> {
        match after {
            None => Self::newest(app, owner, count).await,
            Some((before, balance)) => Self::older(app, owner, before, balance, count).await,
        }
    }

    /// The newest rows, and the balance after the newest one. The account is read before and after
    /// the rows; if it changed, both are read again.
    async fn newest(app: &App, owner: StatementOwner<'_>, count: usize) -> Result<Self> {
        let mut before = owner.known(app).await?;
        for _ in 0..READINGS {
            let (entries, more) = app.store.entries(owner.user_id(), None, count).await?;
            let account = owner.read(app).await?;
            if (account.granted, account.spent) == (before.granted, before.spent) {
                return Ok(Self { balance: account.booked(), account, entries, more });
            }
            before = account;
        }
        Err(Error::Unavailable("the account kept changing while its statement was read".into()))
    }

    /// The rows after a position, which contains their balance. They are read at the same time as
    /// the account.
    async fn older(
        app: &App,
        owner: StatementOwner<'_>,
        before: &str,
        balance: i64,
        count: usize,
    ) -> Result<Self> {
        let (account, read) =
            tokio::join!(owner.known(app), app.store.entries(owner.user_id(), Some(before), count));
        let account = account?;
        let (entries, more) = read?;
        Ok(Self { account, balance, entries, more })
    }
}

/// The row that a page begins after, and the balance before that row, in the text of a cursor; and
/// the rest of the text.
fn place(position: &str) -> Result<(&str, i64, &str)> {
    let (before, rest) = position.split_once(' ').ok_or(Error::InvalidCursor)?;
    let (balance, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match balance.parse() {
        Ok(balance) if !before.is_empty() => Ok((before, balance, rest)),
        _ => Err(Error::InvalidCursor),
    }
}

/// The balance before the last of these rows, if this is the balance after the first one.
fn before(entries: &[Entry], balance: i64) -> i64 {
    entries.iter().fold(balance, |balance, entry| balance.saturating_sub(entry.amount))
}

impl Statement {
    /// The page of the statement that `paging` asks for, whose cursor may still be forged. Rows after
    /// the days of `period` only count for the balance. If there are many, the page has no rows. The
    /// messages of the rows are read `with_messages`.
    ///
    /// # Errors
    /// Those of reading the account; [`Error::InvalidCursor`]; [`Error::Unavailable`] if the
    /// account kept changing while it was read.
    pub async fn read(
        app: &App,
        owner: StatementOwner<'_>,
        paging: &Paging<'_>,
        period: Period,
        with_messages: bool,
    ) -> Result<Self> {
        let place = paging.position().map(place).transpose()?;
        let after = place.map(|(before, balance, _)| (before, balance));
        let is_past = period.is_past(after.map(|(before, _)| before), app.clock.millis());
        let count = if is_past { COMPUTED } else { paging.limit() + 1 };
        let Rows { account, balance, entries: mut newer, more } =
            Rows::read(app, owner, after, count).await?;

        let (first, end) = (period.first(), period.end());
        let is_newer = |entry: &Entry| end.as_ref().is_some_and(|end| entry.entry_id >= *end);
        let is_older = |entry: &Entry| first.as_ref().is_some_and(|first| entry.entry_id < *first);
        let skipped = newer.iter().take_while(|entry| is_newer(entry)).count();
        let mut entries = newer.split_off(skipped);
        let balance = before(&newer, balance);
        let read = entries.len();
        let older = entries.iter().position(is_older);
        entries.truncate(older.unwrap_or(read));
        let (entries, more) = paging.cut(entries, more && older.is_none());

        let last = entries.last().or(newer.last()).filter(|_| more);
        let next = last.map(|last| format!("{} {}", last.entry_id, before(&entries, balance)));
        let (messages, key_names) =
            messages_and_key_names(app, &account, &entries, with_messages).await?;
        Ok(Self { account, balance, entries, messages, key_names, next })
    }

    /// The page as JSON or CSV, as the request asks, with `actors` or without.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn reply(&self, req: &Request, page: &ProvenPage<'_>, actors: bool) -> Reply {
        let rows = self.rows(actors);
        let response = if http::wants_csv(req) { csv(&rows, actors)? } else { http::ok(&rows)? };
        page.linked(response, self.next.as_deref())
    }

    /// The rows, newest first.
    fn rows(&self, actors: bool) -> Vec<StatementRow<'_>> {
        let mut balance = self.balance;
        let rows = self.entries.iter().map(|entry| {
            let after = balance;
            balance = balance.saturating_sub(entry.amount);
            let actor = actors.then_some(entry.actor.as_str());
            let message = entry.chat_id.as_ref().and_then(|id| self.messages.get(id));
            let key_name = entry.key_id.as_ref().and_then(|id| self.key_names.get(id));
            StatementRow {
                row: LedgerRow::of(entry),
                balance: after,
                actor,
                excerpt: message.map(|message| excerpt(message)),
                key_name: key_name.map(String::as_str),
            }
        });
        rows.collect()
    }
}

/// The messages of these entries of an account, and the names of their API keys, by id.
async fn messages_and_key_names(
    app: &App,
    account: &Account,
    entries: &[Entry],
    with_messages: bool,
) -> Result<(HashMap<String, String>, HashMap<String, String>)> {
    let chats = entries.iter().filter(|_| with_messages);
    let chats = chats.filter_map(|entry| entry.chat_id.as_deref());
    let keys = entries.iter().filter_map(|entry| entry.key_id.as_deref());
    Ok(tokio::try_join!(
        app.store.messages(&account.id, chats),
        app.store.names_of_keys(&account.id, keys)
    )?)
}

fn csv(rows: &[StatementRow<'_>], actors: bool) -> Reply {
    let header = ["id", "timestamp", "kind", "amount", "reason", "chat_id", "balance"]
        .into_iter()
        .chain(actors.then_some("actor"))
        .chain(["excerpt", "key_name"]);
    http::csv([header.map(Cow::from).collect()].into_iter().chain(rows.iter().map(cells)))
}

fn cells<'r>(row: &'r StatementRow<'_>) -> Vec<Cow<'r, str>> {
    let StatementRow { row, balance, actor, excerpt, key_name } = row;
    let cells = [
        row.id.into(),
        row.timestamp.as_str().into(),
        row.kind.into(),
        row.amount.to_string().into(),
        row.reason.into(),
        row.chat_id.unwrap_or_default().into(),
        balance.to_string().into(),
    ];
    let about = [excerpt.as_deref(), *key_name].map(|text| Cow::from(text.unwrap_or_default()));
    cells.into_iter().chain(actor.map(Cow::from)).chain(about).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(excerpt(" Hello,\n\tworld! "), "Hello, world!");
        assert_eq!(excerpt(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(excerpt(&"é".repeat(61)), format!("{}…", "é".repeat(59)));
        assert_eq!(
            excerpt(&format!("{} {}", "a".repeat(58), "b".repeat(9))),
            format!("{}…", "a".repeat(58))
        );
    }
}
