//! Statements: the entries in an account's ledger, newest first, and totals per month. Each row
//! shows the balance after its entry, computed backwards from the newest balance. A filter selects
//! rows after they are read, because the balances depend on all rows. Administrators also see each
//! row's actor.

mod months;

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::{Day, least_id};
use crate::http::{self, Paging, ProvenPage, Reply, Request};
use crate::values::{AccessToken, Account, Entry, money};
use crate::view::LedgerRow;
use crate::{App, Error, Result};

pub use self::months::{MonthTotals, Months};

/// The maximum number of attempts to read the first page. It is read again if the account changes
/// during the read.
const READINGS: usize = 10;

/// The maximum number of rows that a request reads just to compute a balance or totals.
const COMPUTED: usize = 2000;

/// The maximum number of rows that a request reads to find the rows of a model or an API key.
const SEARCHED: usize = 500;

/// A row of a statement.
#[derive(Serialize, ToSchema)]
pub struct StatementRow<'a> {
    /// The ledger row.
    #[serde(flatten)]
    row: LedgerRow<'a>,
    /// The balance after this row.
    #[schema(examples(3900))]
    balance: i64,
    /// The actor: the id of an account, or `manage`, with a colon and the caller of the command if
    /// known. Shown only to administrators.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("manage"))]
    actor: Option<&'a str>,
    /// The beginning of the message, on one line. Null if the row has no message, or the message
    /// was deleted. For administrators, also null if the operator doesn't let them read messages.
    #[schema(required, examples("Hello!"))]
    excerpt: Option<String>,
    /// The name of the API key that sent the message. Null if no API key sent it, or the key was
    /// revoked.
    #[schema(required, examples("a program"))]
    key_name: Option<&'a str>,
    /// The id of the API key that sent the message, even if the key was revoked. Missing if no API
    /// key sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "uuid", examples("01a1f7d1-6e09-7b31-8c55-2a9d41f0e6b7"))]
    key_id: Option<&'a str>,
}

/// The maximum length of a message's excerpt, in characters.
const EXCERPT: usize = 60;

/// Returns the beginning of a message, on one line.
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

/// The owner of a statement.
#[derive(Clone, Copy, Debug)]
pub enum StatementOwner<'a> {
    /// The caller, if the access token is valid for the account.
    Caller(&'a AccessToken),
    /// This account, which was just read for an administrator.
    Account(&'a Account),
}

/// The days that a statement shows.
#[derive(Clone, Copy, Debug, Default)]
struct Period {
    from: Option<Day>,
    to: Option<Day>,
}

/// The rows that a statement shows. The default shows all rows.
#[derive(Clone, Debug, Default)]
pub struct StatementFilter {
    period: Period,
    /// Shows only rows for which this model was paid, by its name in the price list.
    model: Option<String>,
    /// Shows only rows of messages that were sent with the API key with this id.
    key: Option<String>,
}

/// A page of a statement.
pub struct Statement {
    /// The account. It was read together with the entries.
    pub account: Account,
    /// The ledger entries, each with the balance after it.
    entries: Vec<(Entry, i64)>,
    /// The entries' messages, by chat id.
    messages: HashMap<String, String>,
    /// The names of the entries' API keys, by id.
    key_names: HashMap<String, String>,
    /// The position of the next page, or `None` if this is the last page.
    next: Option<String>,
}

/// Ledger entries, newest first, with the account and the balance.
struct Rows {
    /// The account. It was read together with the entries.
    account: Account,
    /// The balance after the first entry.
    balance: i64,
    entries: Vec<Entry>,
    /// True if older entries may follow.
    more: bool,
}

impl StatementOwner<'_> {
    async fn read(self, app: &App) -> Result<Account> {
        Ok(match self {
            Self::Caller(caller) => app.store.account_of(caller).await?,
            Self::Account(account) => app.store.reread(account).await?,
        })
    }

    /// Returns the account. Reads the account only if `self` doesn't contain it.
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
    /// Reads the `from` and `to` query parameters, the first and last day in UTC.
    fn from_query(req: &Request) -> Result<Self> {
        let (from, to) = http::query_days(req)?;
        Ok(Self { from, to })
    }

    /// Returns the cursor scope of a list for these days.
    fn scope(self, list: &str) -> String {
        let text = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
        match self {
            Self { from: None, to: None } => list.to_owned(),
            Self { from, to } => format!("{list}?from={}&to={}", text(from), text(to)),
        }
    }

    /// Returns an id that sorts before the rows in this period, and after all older rows.
    fn first(self) -> Option<String> {
        self.from.map(|day| least_id(day.begins()))
    }

    /// Returns an id that sorts after the rows in this period, and before all newer rows.
    fn end(self) -> Option<String> {
        self.to.map(|day| least_id(day.after(1).begins()))
    }

    /// Returns true if there may be rows that are newer than this period and older than the row
    /// `before`. `now` is in milliseconds.
    fn is_past(self, before: Option<&str>, now: u64) -> bool {
        let is_past = |end: String| least_id(now) >= end && before.is_none_or(|id| id > &*end);
        self.end().is_some_and(is_past)
    }
}

impl StatementFilter {
    /// The query parameters of a filter.
    pub const PARAMETERS: &[&str] = &["from", "to", "model", "key"];

    /// Reads the query parameters of a filter.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`].
    pub fn from_query(req: &Request) -> Result<Self> {
        let (period, model) = (Period::from_query(req)?, http::query_model(req)?);
        let key = http::query(req, "key").map(|key| {
            http::id(key).ok_or_else(|| Error::field("key", "This must be the id of an API key."))
        });
        Ok(Self { period, model, key: key.transpose()? })
    }

    /// Returns the cursor scope of a list with this filter.
    pub fn scope(&self, list: &str) -> String {
        let scope = self.period.scope(list);
        if !self.selects() {
            return scope;
        }
        // The model is last, because its name may contain any characters.
        let [key, model] =
            [&self.key, &self.model].map(|given| given.as_deref().unwrap_or_default());
        format!("{scope}&key={key}&model={model}")
    }

    /// Returns true if the filter may refuse any row from its days, so that more rows must be read
    /// than are shown.
    fn selects(&self) -> bool {
        self.model.is_some() || self.key.is_some()
    }

    /// Returns true if the filter accepts this entry, which must be from the filter's days.
    fn accepts(&self, entry: &Entry) -> bool {
        let model = entry.receipt.as_ref().map(|receipt| &receipt.model);
        (self.model.is_none() || self.model.as_ref() == model)
            && (self.key.is_none() || self.key == entry.key_id)
    }
}

impl Rows {
    /// Reads at most `count` rows: the newest rows, or the rows after a given row. `after` contains
    /// the given row's id and the balance before that row.
    ///
    /// # Errors
    /// Returns an error if the account can't be read, or [`Error::Unavailable`] if the account kept
    /// changing while it was read.
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

    /// Reads the newest rows, and the balance after the newest one. Reads the account before and
    /// after the rows. If the account has changed, reads the rows and the account again.
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

    /// Reads the account and, in parallel, the rows that are older than the row `before`. `balance`
    /// is the balance before that row.
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

/// Parses a cursor into the row after which a page begins, the balance before that row, and the
/// rest of the cursor.
fn place(position: &str) -> Result<(&str, i64, &str)> {
    let (before, rest) = position.split_once(' ').ok_or(Error::InvalidCursor)?;
    let (balance, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match balance.parse() {
        Ok(balance) if !before.is_empty() => Ok((before, balance, rest)),
        _ => Err(Error::InvalidCursor),
    }
}

/// Returns the position of the page that follows this row, in the form that [`place`] parses.
/// `balance` is the balance before the row.
fn position_after(entry: &Entry, balance: i64) -> String {
    format!("{} {balance}", entry.entry_id)
}

/// Returns the entries, each with the balance after it, given the balance after the first one.
fn with_balances(entries: Vec<Entry>, mut balance: i64) -> Vec<(Entry, i64)> {
    let with_balance = |entry: Entry| {
        let after = balance;
        balance = balance.saturating_sub(entry.amount);
        (entry, after)
    };
    entries.into_iter().map(with_balance).collect()
}

/// Returns the balance before the last row in `entries`, given the balance after the first one.
fn before(entries: &[Entry], balance: i64) -> i64 {
    entries.iter().fold(balance, |balance, entry| balance.saturating_sub(entry.amount))
}

impl Statement {
    /// Reads the page of rows that `filter` accepts, starting where `paging` says. The cursor may
    /// still be forged. Rows that the filter refuses are read only to compute the balance. A
    /// request reads a limited number of rows, so the page may be short or empty even if another
    /// page follows. Reads the rows' messages only if `with_messages` is true.
    ///
    /// # Errors
    /// Returns an error if the account can't be read, [`Error::InvalidCursor`], or
    /// [`Error::Unavailable`] if the account kept changing while it was read.
    pub async fn read(
        app: &App,
        owner: StatementOwner<'_>,
        paging: &Paging<'_>,
        filter: &StatementFilter,
        with_messages: bool,
    ) -> Result<Self> {
        let period = filter.period;
        let place = paging.position().map(place).transpose()?;
        let after = place.map(|(before, balance, _)| (before, balance));
        let is_past = period.is_past(after.map(|(before, _)| before), app.clock.millis());
        let count = if is_past {
            COMPUTED
        } else if filter.selects() {
            SEARCHED
        } else {
            paging.limit() + 1
        };
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
        let more = more && older.is_none();

        let (entries, next) = paging.found(
            with_balances(entries, balance),
            more,
            |(entry, _)| filter.accepts(entry),
            |(entry, after)| position_after(entry, after.saturating_sub(entry.amount)),
        );
        // If all rows are newer than the period, the next page begins after the last of them.
        let last_newer = newer.last().filter(|_| more);
        let next = next.or_else(|| last_newer.map(|last| position_after(last, balance)));
        let (messages, key_names) =
            messages_and_key_names(app, &account, &entries, with_messages).await?;
        Ok(Self { account, entries, messages, key_names, next })
    }

    /// Returns the page as JSON or CSV, as the client prefers. If `actors` is true, the rows
    /// contain their actors.
    ///
    /// # Errors
    /// Returns [`Error::Internal`].
    pub fn reply(&self, req: &Request, page: &ProvenPage<'_>, actors: bool) -> Reply {
        let rows = self.rows(actors);
        let response = if http::wants_csv(req) { csv(&rows, actors)? } else { http::ok(&rows)? };
        page.linked(response, self.next.as_deref())
    }

    /// Returns true if a row shows the beginning of a message.
    pub fn shows_messages(&self) -> bool {
        !self.messages.is_empty()
    }

    /// Returns the rows, newest first.
    fn rows(&self, actors: bool) -> Vec<StatementRow<'_>> {
        let rows = self.entries.iter().map(|(entry, balance)| {
            let actor = actors.then_some(entry.actor.as_str());
            let message = entry.chat_id.as_ref().and_then(|id| self.messages.get(id));
            let key_name = entry.key_id.as_ref().and_then(|id| self.key_names.get(id));
            StatementRow {
                row: LedgerRow::of(entry),
                balance: *balance,
                actor,
                excerpt: message.map(|message| excerpt(message)),
                key_name: key_name.map(String::as_str),
                key_id: entry.key_id.as_deref(),
            }
        });
        rows.collect()
    }
}

/// Reads the messages that these entries belong to, and the names of their API keys. Both are keyed
/// by id.
async fn messages_and_key_names(
    app: &App,
    account: &Account,
    entries: &[(Entry, i64)],
    with_messages: bool,
) -> Result<(HashMap<String, String>, HashMap<String, String>)> {
    let chats = entries.iter().filter(|_| with_messages);
    let chats = chats.filter_map(|(entry, _)| entry.chat_id.as_deref());
    let keys = entries.iter().filter_map(|(entry, _)| entry.key_id.as_deref());
    Ok(tokio::try_join!(
        app.store.messages(&account.id, chats),
        app.store.names_of_keys(&account.id, keys)
    )?)
}

fn csv(rows: &[StatementRow<'_>], actors: bool) -> Reply {
    let header = ["id", "timestamp", "kind", "amount", "reason", "chat_id", "balance"]
        .into_iter()
        .chain(actors.then_some("actor"))
        .chain(["excerpt", "key_name", "model"])
        .chain(["prompt_tokens", "cached_tokens", "completion_tokens", "written_tokens"])
        .chain(["money", "currency"]);
    http::csv([header.map(Cow::from).collect()].into_iter().chain(rows.iter().map(cells)))
}

fn cells<'r>(row: &'r StatementRow<'_>) -> Vec<Cow<'r, str>> {
    let StatementRow { row, balance, actor, excerpt, key_name, key_id: _ } = row;
    let cells = [
        row.id.into(),
        row.timestamp.as_str().into(),
        row.kind.into(),
        row.amount.to_string().into(),
        row.reason.into(),
        row.chat_id.unwrap_or_default().into(),
        balance.to_string().into(),
    ];
    let about = [excerpt.as_deref(), *key_name, row.model];
    let about = about.map(|text| Cow::from(text.unwrap_or_default()));
    let usage = row.usage.map(|usage| {
        let written = usage.written_tokens;
        [usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, written]
            .map(|count| Cow::from(count.to_string()))
    });
    let usage = usage.unwrap_or_default();
    let paid = row.purchase.as_ref().map(|purchase| {
        let sign = if purchase.money < 0 { "-" } else { "" };
        let amount = money::in_units(purchase.money.unsigned_abs(), purchase.currency);
        [Cow::from(format!("{sign}{amount}")), Cow::from(purchase.currency)]
    });
    let paid = paid.unwrap_or_default();
    cells.into_iter().chain(actor.map(Cow::from)).chain(about).chain(usage).chain(paid).collect()
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
