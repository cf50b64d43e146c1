//! Statements: the rows of an account's ledger, newest first, each with the balance after it, which
//! is computed backwards. Administrators also see the actor of each row.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::AccessToken;
use crate::http::{self, Paging, ProvenPage, Reply, Request};
use crate::store::Entry;
use crate::user::Account;
use crate::view::LedgerRow;
use crate::{App, Error, Result};

/// How often the first page is read at most, until the account doesn't change meanwhile.
const READINGS: usize = 10;

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
}

/// Whose statement it is.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// The caller's, if the account accepts the token.
    Caller(&'a AccessToken),
    /// This account's, which was just read for an administrator.
    Account(&'a Account),
}

/// A page of a statement: some entries of a ledger, and the balance after the first of them.
pub struct Statement {
    /// The account, as it was read with the entries.
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

impl Statement {
    /// The page of the statement that `paging` asks for, whose cursor may still be forged.
    ///
    /// # Errors
    /// Those of reading the account; [`Error::InvalidCursor`]; [`Error::Unavailable`] if the
    /// account kept changing while it was read.
    pub async fn read(app: &App, of: Of<'_>, paging: &Paging<'_>) -> Result<Self> {
        let count = paging.limit() + 1;
        let mut statement = match paging.position() {
            None => Self::first(app, of, count).await?,
            Some(position) => Self::later(app, of, position, count).await?,
        };
        (statement.entries, statement.more) = paging.cut(statement.entries, statement.more);
        Ok(statement)
    }

    /// The newest rows, and the balance after the newest one. The account is read before and after
    /// the rows; if it changed, both are read again.
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
        Err(Error::Unavailable("the account kept changing while its statement was read".into()))
    }

    /// The rows after a position, which contains their balance. They are read at the same time as
    /// the account.
    async fn later(app: &App, of: Of<'_>, position: &str, count: usize) -> Result<Self> {
        let (before, balance) = position
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

    /// The page as JSON or CSV, as the request asks, with `actors` or without.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn reply(&self, req: &Request, page: &ProvenPage<'_>, actors: bool) -> Reply {
        let (rows, balance) = self.rows(actors);
        let next =
            rows.last().filter(|_| self.more).map(|last| format!("{} {balance}", last.row.id));
        let response = if http::wants_csv(req) { csv(&rows, actors)? } else { http::ok(&rows)? };
        page.linked(response, next.as_deref())
    }

    /// The rows, newest first, and the balance before the last one.
    fn rows(&self, actors: bool) -> (Vec<StatementRow<'_>>, i64) {
        let mut balance = self.balance;
        let rows = self.entries.iter().map(|entry| {
            let after = balance;
            balance = balance.saturating_sub(entry.amount);
            let actor = actors.then_some(entry.actor.as_str());
            StatementRow { row: LedgerRow::of(entry), balance: after, actor }
        });
        (rows.collect(), balance)
    }
}

fn csv(rows: &[StatementRow<'_>], actors: bool) -> Reply {
    let header = ["id", "timestamp", "kind", "amount", "reason", "chat_id", "balance"]
        .into_iter()
        .chain(actors.then_some("actor"));
    http::csv([header.map(Cow::from).collect()].into_iter().chain(rows.iter().map(cells)))
}

fn cells<'r>(StatementRow { row, balance, actor }: &'r StatementRow<'_>) -> Vec<Cow<'r, str>> {
    let cells = [
        row.id.into(),
        row.timestamp.as_str().into(),
        row.kind.into(),
        row.amount.to_string().into(),
        row.reason.into(),
        row.chat_id.unwrap_or_default().into(),
        balance.to_string().into(),
    ];
    cells.into_iter().chain(actor.map(Cow::from)).collect()
}
