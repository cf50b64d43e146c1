//! What administrators do to an account beside changing its role, state or balance.
//!
//! Each transaction checks that the caller is still an administrator, and writes a row of the ledger
//! beside those of roles and states. The row's id is fixed before the first send: if the row exists,
//! a transaction whose reply was lost was applied.

use uuid::Uuid;

use crate::clock::Clock;
use crate::store::schema::pk;
use crate::store::{Patience, Result, Store, StoreError, Transaction, Write, n, no_entries, s};
use crate::values::{Account, AdminAct, Administrator, Intervention, Reason, STANDING};

/// An administrator's intervention in another account. Everything that its row says is fixed before
/// the first send, so that a repeated one is the same.
#[derive(Clone, Debug)]
pub struct PlannedIntervention<'a> {
    /// The administrator.
    pub by: &'a Administrator,
    /// The account, as it was just read, or as it is to be created.
    pub account: &'a Account,
    pub(in crate::store) what: Intervention,
    /// The id of its row.
    pub(in crate::store) id: String,
    reason: Option<Reason>,
    time: u64,
}

impl<'a> PlannedIntervention<'a> {
    /// An intervention that begins now.
    ///
    /// # Errors
    /// [`StoreError::OwnAccount`].
    pub fn new(
        by: &'a Administrator,
        account: &'a Account,
        what: Intervention,
        reason: Option<Reason>,
        clock: &Clock,
    ) -> Result<Self> {
        if account.id == by.account().id {
            return Err(StoreError::OwnAccount);
        }
        Ok(Self { by, account, what, id: clock.id().to_string(), reason, time: clock.millis() })
    }

    /// The act that records it.
    pub(in crate::store) fn act(&self) -> AdminAct {
        AdminAct {
            user_id: self.account.id.clone(),
            id: self.id.clone(),
            kind: STANDING.into(),
            act: Some(self.what.nearest(&self.account.role)),
            intervention: Some(self.what.clone()),
            reason: self.reason.as_ref().map(|reason| reason.text().to_owned()).unwrap_or_default(),
            actor: self.by.account().id.clone(),
            granted: self.what.creates().then_some(self.account.granted),
            time: self.time,
        }
    }
}

/// The condition that the account exists and has the epoch that was read.
pub(in crate::store) const UNCHANGED: &str =
    "id = :id AND attribute_not_exists(deleted) AND auth_epoch = :seen";

impl Store {
    /// Ends all sessions of a user: their JWTs are invalid from then on, and so are e-mailed links.
    /// API keys stay valid. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NoSuchUser`] if the account was deleted since, [`StoreError::NotAccepted`] and
    /// [`StoreError::NotAdministrator`] if the caller is no longer an administrator.
    pub async fn end_sessions_of_user(&self, doing: &PlannedIntervention<'_>) -> Result<()> {
        let mut seen = doing.account.clone();
        let mut patience = Patience::new();
        loop {
            let end = self
                .update_unchanged(&seen, "SET auth_epoch = :next, revoked = :none")
                .values([(":next", n(seen.auth_epoch + 1)), (":none", no_entries())]);
            let Some(current) = self.intervene(doing, vec![end]).await? else { return Ok(()) };
            seen = current;
            if !patience.lasts().await {
                return Err(contention_error());
            }
        }
    }

    /// Changes an account on condition of [`UNCHANGED`].
    pub(in crate::store) fn update_unchanged(&self, seen: &Account, expression: &str) -> Write {
        Write::update(&self.tables.users, pk(&seen.pk), expression)
            .condition(UNCHANGED)
            .values([(":id", s(&seen.id)), (":seen", n(seen.auth_epoch))])
    }

    /// Sends an intervention's writes with its row, on condition that the caller is still an
    /// administrator. `None` if it was applied; otherwise the account as it is now, since one of the
    /// writes was refused.
    ///
    /// # Errors
    /// Those of [`Store::end_sessions_of_user`].
    pub(in crate::store) async fn intervene(
        &self,
        doing: &PlannedIntervention<'_>,
        mut writes: Vec<Write>,
    ) -> Result<Option<Account>> {
        let PlannedIntervention { by, account, .. } = doing;
        writes.push(self.is_administrator(by.caller()));
        writes.push(self.put_act(&doing.act())?);
        // A new request token for each attempt: its bytes depend on what was read.
        if matches!(self.transact(writes, &Uuid::new_v4().to_string()).await?, Transaction::Applied)
        {
            return Ok(None);
        }
        let current = self.account_named(&account.label).await?;
        if self.has_act(&account.id, &doing.id).await? {
            return Ok(None);
        }
        self.administrator(by.caller()).await?;
        let current =
            current.filter(|current| current.id == account.id && current.deleted.is_none());
        current.ok_or(StoreError::NoSuchUser).map(Some)
    }
}

/// The error if every attempt was refused because the account had changed.
pub(in crate::store) fn contention_error() -> StoreError {
    StoreError::Unavailable("an account kept changing while an administrator changed it".into())
}
