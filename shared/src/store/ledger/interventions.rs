//! Interventions: all administrators' actions on accounts except changes to a role, a state or a
//! balance.
//!
//! The transaction of an intervention also checks that the caller is still an administrator, and
//! writes a ledger row into the partition for changes to roles and states. The row's id is fixed
//! before the first attempt. If a refused transaction's row exists, an earlier attempt was applied
//! but the reply was lost.

use uuid::Uuid;

use crate::Error;
use crate::clock::Clock;
use crate::store::schema::pk;
use crate::store::{Backoff, Result, Store, StoreError, Transaction, Write, n, no_entries, s};
use crate::values::{Account, AdminAct, Administrator, Intervention, Reason, Role, STANDING};

/// An administrator's intervention in another account. All values in its ledger row are fixed
/// before the first attempt, so that a retry sends the same row.
#[derive(Clone, Debug)]
pub struct PlannedIntervention<'a> {
    /// The administrator.
    pub by: &'a Administrator,
    /// The account: either freshly read, or about to be created.
    pub account: &'a Account,
    pub(in crate::store) what: Intervention,
    /// The id of the intervention's row.
    pub(in crate::store) id: String,
    reason: Option<Reason>,
    time: u64,
}

impl<'a> PlannedIntervention<'a> {
    /// Creates an intervention with a new id and the current time.
    ///
    /// # Errors
    /// [`Error::OwnAccount`] if an administrator tries to change their own account.
    pub fn new(
        by: &'a Administrator,
        account: &'a Account,
        what: Intervention,
        reason: Option<Reason>,
        clock: &Clock,
    ) -> Result<Self> {
        if account.id == by.account().id {
            return Err(StoreError::Refused(Error::OwnAccount));
        }
        Ok(Self { by, account, what, id: clock.id().to_string(), reason, time: clock.millis() })
    }

    /// Returns the action that records this intervention.
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
    /// Ends all sessions of a user. The user's JWTs and e-mailed links are invalid from then on.
    /// API keys stay valid. Idempotent.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`] if the account was deleted since it was read, and
    /// [`StoreError::NotAccepted`] or [`Error::Forbidden`] if the caller is no longer an
    /// administrator.
    pub async fn end_sessions_of_user(&self, doing: &PlannedIntervention<'_>) -> Result<()> {
        let mut seen = doing.account.clone();
        let mut backoff = Backoff::new();
        loop {
            let end = self
                .update_unchanged(&seen, "SET auth_epoch = :next, revoked = :none")
                .values([(":next", n(seen.auth_epoch + 1)), (":none", no_entries())]);
            let Some(current) = self.intervene(doing, vec![end]).await? else { return Ok(()) };
            seen = current;
            backoff.try_again(CONTENDED).await?;
        }
    }

    /// Records that an administrator exports the addresses of these users, at most 99, each given by
    /// id and role. An administrator's own address isn't recorded.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] or [`Error::Forbidden`] if the caller is no longer an
    /// administrator. Then no row was written.
    pub async fn record_addresses(
        &self,
        by: &Administrator,
        users: &[(String, Role)],
        clock: &Clock,
    ) -> Result<()> {
        let what = Intervention::Addresses;
        let act = |(id, role): &(String, Role)| AdminAct {
            user_id: id.clone(),
            id: clock.id().to_string(),
            kind: STANDING.into(),
            act: Some(what.nearest(role)),
            intervention: Some(what.clone()),
            reason: String::new(),
            actor: by.account().id.clone(),
            granted: None,
            time: clock.millis(),
        };
        let others = users.iter().filter(|(id, _)| *id != by.account().id);
        let acts: Vec<AdminAct> = others.map(act).collect();
        let Some(first) = acts.first() else { return Ok(()) };
        let mut writes = vec![self.is_administrator(by.caller())];
        for act in &acts {
            writes.push(self.put_act(act)?);
        }
        let transaction = self.transact(writes, &Uuid::new_v4().to_string()).await?;
        if matches!(transaction, Transaction::Applied)
            || self.has_act(&first.user_id, &first.id).await?
        {
            return Ok(());
        }
        self.administrator(by.caller()).await?;
        Err(StoreError::Internal("an export was refused without a reason".into()))
    }

    /// An update of an account, with [`UNCHANGED`] as its condition.
    pub(in crate::store) fn update_unchanged(&self, seen: &Account, expression: &str) -> Write {
        Write::update(&self.tables.users, pk(&seen.pk), expression)
            .condition(UNCHANGED)
            .values([(":id", s(&seen.id)), (":seen", n(seen.auth_epoch))])
    }

    /// Sends an intervention's writes together with its row, on condition that the caller is still
    /// an administrator. Returns `None` if the transaction was applied, and the current account if
    /// one of the writes was refused.
    ///
    /// # Errors
    /// The errors of [`Store::end_sessions_of_user`].
    pub(in crate::store) async fn intervene(
        &self,
        doing: &PlannedIntervention<'_>,
        mut writes: Vec<Write>,
    ) -> Result<Option<Account>> {
        let PlannedIntervention { by, account, .. } = doing;
        writes.push(self.is_administrator(by.caller()));
        writes.push(self.put_act(&doing.act())?);
        // Each attempt needs a new request token, because the transaction's bytes depend on the
        // account that was just read.
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
        current.ok_or(StoreError::Refused(Error::NoSuchUser)).map(Some)
    }
}

/// The cause that is logged if all attempts at an intervention failed because other writes changed
/// the account.
pub(in crate::store) const CONTENDED: &str =
    "the account kept changing while an administrator changed it";
