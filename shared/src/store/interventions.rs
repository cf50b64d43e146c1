//! What administrators do to an account beside changing its role, state or balance.
//!
//! Each transaction checks that the caller is still an administrator, and writes a row of the ledger
//! beside those of roles and states. The row's id is fixed before the first send: if the row exists,
//! a transaction whose reply was lost was applied.

use uuid::Uuid;

use super::schema::{pk, standing_of};
use super::{
    Entry, EntryKind, Intervention, Patience, Reason, Store, Transaction, Write, n, no_entries, s,
};
use crate::auth::Administrator;
use crate::clock::Clock;
use crate::user::Account;
use crate::{Error, Result};

/// An administrator's intervention in another account. Everything that its row says is fixed before
/// the first send, so that a repeated one is the same.
#[derive(Clone, Debug)]
pub struct Intervening<'a> {
    /// The administrator.
    pub by: &'a Administrator,
    /// The account, as it was just read, or as it is to be created.
    pub account: &'a Account,
    pub(super) what: Intervention,
    /// The id of its row.
    pub(super) id: String,
    reason: Option<Reason>,
    time: u64,
}

impl<'a> Intervening<'a> {
    /// An intervention that begins now.
    ///
    /// # Errors
    /// [`Error::OwnAccount`].
    pub fn new(
        by: &'a Administrator,
        account: &'a Account,
        what: Intervention,
        reason: Option<Reason>,
        clock: &Clock,
    ) -> Result<Self> {
        if account.id == by.account().id {
            return Err(Error::OwnAccount);
        }
        Ok(Self { by, account, what, id: clock.id().to_string(), reason, time: clock.millis() })
    }

    /// The row that records it.
    pub(super) fn row(&self) -> Entry {
        Entry {
            user_id: standing_of(&self.account.id),
            entry_id: self.id.clone(),
            amount: 0,
            kind: EntryKind::Standing,
            reason: self.reason.as_ref().map(|reason| reason.text().to_owned()).unwrap_or_default(),
            actor: self.by.account().id.clone(),
            chat_id: None,
            units: None,
            key_id: None,
            act: Some(self.what.nearest(&self.account.role)),
            intervention: Some(self.what.clone()),
            granted: self.what.creates().then_some(self.account.granted),
            time: self.time,
        }
    }
}

/// The condition that the account exists and has the epoch that was read.
pub(super) const UNCHANGED: &str =
    "id = :id AND attribute_not_exists(deleted) AND auth_epoch = :seen";

impl Store {
    /// Ends all sessions of a user: their tokens are invalid from then on, and so are e-mailed links.
    /// API keys stay valid. Idempotent.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`] if the account was deleted since, [`Error::InvalidToken`] and
    /// [`Error::Forbidden`] if the caller is no longer an administrator.
    pub async fn end_sessions_of_user(&self, doing: &Intervening<'_>) -> Result<()> {
        let mut seen = doing.account.clone();
        let mut patience = Patience::new();
        loop {
            let end = self
                .update_unchanged(&seen, "SET auth_epoch = :next, revoked = :none")
                .values([(":next", n(seen.auth_epoch + 1)), (":none", no_entries())]);
            let Some(current) = self.intervene(doing, vec![end]).await? else { return Ok(()) };
            seen = current;
            if !patience.lasts().await {
                return Err(kept_changing());
            }
        }
    }

    /// Changes an account on condition of [`UNCHANGED`].
    pub(super) fn update_unchanged(&self, seen: &Account, expression: &str) -> Write {
        Write::update(&self.tables.users, pk(&seen.pk), expression)
            .when(UNCHANGED)
            .values([(":id", s(&seen.id)), (":seen", n(seen.auth_epoch))])
    }

    /// Sends an intervention's writes with its row, on condition that the caller is still an
    /// administrator. `None` if it was applied; otherwise the account as it is now, since one of the
    /// writes was refused.
    ///
    /// # Errors
    /// Those of [`Store::end_sessions_of_user`].
    pub(super) async fn intervene(
        &self,
        doing: &Intervening<'_>,
        mut writes: Vec<Write>,
    ) -> Result<Option<Account>> {
        let Intervening { by, account, .. } = doing;
        let row = doing.row();
        writes.push(self.is_administrator(by.caller()));
        writes.push(self.enter(&row)?);
        // A new token for each attempt: its bytes depend on what was read.
        if matches!(self.transact(writes, &Uuid::new_v4().to_string()).await?, Transaction::Applied)
        {
            return Ok(None);
        }
        let current = self.account_named(&account.label).await?;
        if self.has_entry(&row.user_id, &row.entry_id).await? {
            return Ok(None);
        }
        by.still(self).await?;
        let current =
            current.filter(|current| current.id == account.id && current.deleted.is_none());
        current.ok_or(Error::NoSuchUser).map(Some)
    }
}

/// The error if every attempt was refused because the account had changed.
pub(super) fn kept_changing() -> Error {
    Error::Unavailable("an account kept changing while an administrator changed it".into())
}
