//! A statement: the rows of an account's ledger, newest first, with the balance after each, which
//! is computed backwards. Its owner and administrators see the same; these see who did it, too.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::AccessToken;
use crate::cursor::Unproven;
use crate::http::{self, Reply, Request};
use crate::store::{Entry, EntryKind};
use crate::user::Account;
use crate::{App, Error, Result, clock, cursor};

/// How often the first page is read until the account didn't move meanwhile.
const READINGS: usize = 10;

/// A row of a statement.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementRow)]
pub struct Row {
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: String,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    timestamp: String,
    #[schema(value_type = EntryKind)]
    kind: &'static str,
    /// What came, or below zero what went.
    #[schema(examples(-100))]
    amount: i64,
    /// Why.
    #[schema(examples("chat"))]
    reason: String,
    /// The chat that was paid for.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    chat_id: Option<String>,
    /// The balance after it.
    #[schema(examples(3900))]
    balance: i64,
    /// Who did it, where an administrator asks: the id of an account, or `manage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("manage"))]
    actor: Option<String>,
}

/// Whose statement it is, and how it is known that they may be read.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// The caller's own, whom the account must admit.
    Caller(&'a AccessToken),
    /// This account's, which was just read, and an administrator looks at.
    Account(&'a Account),
}

/// Some rows of a ledger, and the balance after the first of them.
pub struct Page {
    /// The account, as it was read with them.
    pub account: Account,
    balance: i64,
    entries: Vec<Entry>,
    more: bool,
}

impl Of<'_> {
    async fn read(self, app: &App) -> Result<Account> {
        match self {
            Self::Caller(caller) => app.store.account_of(caller).await,
            Self::Account(account) => app.store.reread(account).await,
        }
    }

    /// The account as it is known, or read where nobody has yet.
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

impl Page {
    /// At most `limit` rows, from the place on that a cursor carries, of which the caller of this
    /// has yet to prove that it was made here.
    ///
    /// # Errors
    /// Those of reading the account; [`Error::InvalidCursor`], and [`Error::Unavailable`] where the
    /// account never held still.
    pub async fn read(
        app: &App,
        of: Of<'_>,
        cursor: Option<&Unproven>,
        limit: usize,
    ) -> Result<Self> {
        match cursor {
            None => Self::first(app, of, limit + 1).await,
            Some(cursor) => Self::later(app, of, cursor, limit + 1).await,
        }
    }

    /// The newest rows, and the balance that the account had when they were all: it is read before
    /// and after them, and they are read again where it moved.
    async fn first(app: &App, of: Of<'_>, count: usize) -> Result<Self> {
        let mut before = of.known(app).await?;
        for _ in 0..READINGS {
            let (entries, more) = app.store.entries(of.user_id(), None, count).await?;
            let account = of.read(app).await?;
            if (account.granted, account.spent) == (before.granted, before.spent) {
                return Ok(Self { balance: account.booked(), account, entries, more });
            }
            before = account;
        }
        Err(Error::Unavailable("the account kept moving while its statement was read".into()))
    }

    /// The rows after a cursor, which carries their balance. They are read at the same time as the
    /// account.
    async fn later(app: &App, of: Of<'_>, cursor: &Unproven, count: usize) -> Result<Self> {
        let (before, balance) = cursor
            .position()
            .split_once(' ')
            .filter(|(before, _)| !before.is_empty())
            .ok_or(Error::InvalidCursor)?;
        let balance = balance.parse().map_err(|_| Error::InvalidCursor)?;
        let (account, read) =
            tokio::join!(of.known(app), app.store.entries(of.user_id(), Some(before), count));
        let account = account?;
        let (entries, more) = read?;
        Ok(Self { account, balance, entries, more })
    }

    /// The page in the form that was asked for, with `actors` or without, and a link to the next
    /// one, whose cursor is sealed for `reader` and `scope`.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn reply(
        self,
        req: &Request,
        limit: usize,
        actors: bool,
        reader: &Account,
        scope: &str,
    ) -> Reply {
        let more = self.more || self.entries.len() > limit;
        let (rows, balance) = rows(self.entries.into_iter().take(limit), self.balance, actors);
        let last = rows.last().filter(|_| more).map(|row| format!("{} {balance}", row.id));
        let mut response = if http::wants_csv(req) { csv(rows, actors)? } else { http::ok(&rows)? };
        if let Some(position) = last {
            http::link_next(
                &mut response,
                req,
                &["limit"],
                &cursor::seal(reader, scope, &position),
            )?;
        }
        Ok(response)
    }
}

/// The rows of these entries, newest first, where `balance` is the one after the first; and the
/// balance before the last.
fn rows(entries: impl Iterator<Item = Entry>, mut balance: i64, actors: bool) -> (Vec<Row>, i64) {
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
            actor: actors.then_some(entry.actor),
        }
    };
    let rows = entries.map(row).collect();
    (rows, balance)
}

fn csv(rows: Vec<Row>, actors: bool) -> Reply {
    let header = ["id", "timestamp", "kind", "amount", "reason", "chat_id", "balance"]
        .into_iter()
        .chain(actors.then_some("actor"));
    let cells = |row: Row| -> Vec<Cow<'static, str>> {
        let (amount, balance) = (row.amount.to_string(), row.balance.to_string());
        let cells = [
            row.id.into(),
            row.timestamp.into(),
            row.kind.into(),
            amount.into(),
            row.reason.into(),
            row.chat_id.unwrap_or_default().into(),
            balance.into(),
        ];
        cells.into_iter().chain(row.actor.map(Cow::from)).collect()
    };
    http::csv([header.map(Cow::from).collect()].into_iter().chain(rows.into_iter().map(cells)))
}
