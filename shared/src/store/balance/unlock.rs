//! Unlocks accounts whose free work is used up.

use crate::clock::Clock;
use crate::store::balance::limits::{FreeWork, underheld_key};
use crate::store::ledger::interventions::CONTENDED;
use crate::store::schema::pk;
use crate::store::{Backoff, PlannedIntervention, Result, Store, Write, s};
use crate::values::{Account, AdminAct, Intervention, STANDING};

/// Removes the day's counts, for limited API keys and for all other callers, and the month's count of
/// underheld credits.
const FORGET_UPDATE: &str = "REMOVE free_work.#own, free_work.#of_keys, free_work.#underheld";

impl Store {
    /// Resets the account's free work counts for the day that contains the Unix time `now`, and its
    /// underheld credits for the month. The account keeps the free work that it has earned. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable).
    pub async fn forget_free_work(&self, account: &Account, now: u64) -> Result<()> {
        let forget = Write::update(&self.tables.users, pk(&account.pk), FORGET_UPDATE)
            .condition("id = :id AND attribute_exists(free_work)")
            .names(counts(now))
            .values([(":id", s(&account.id))]);
        self.send(&forget).await.map(drop)
    }

    /// Records that a command has unlocked an account.
    pub async fn record_unlock(&self, account: &Account, clock: &Clock) -> Result<()> {
        let what = Intervention::Unlock;
        let act = AdminAct {
            user_id: account.id.clone(),
            id: clock.id().to_string(),
            kind: STANDING.into(),
            act: Some(what.nearest(&account.role)),
            intervention: Some(what),
            reason: String::new(),
            actor: self.operator().into(),
            granted: None,
            time: clock.millis(),
        };
        self.send(&self.put_act(&act)?).await.map(drop)
    }

    /// Like [`Store::forget_free_work`], but does so on behalf of an administrator, and records the
    /// action. Returns the account without the removed counts. Doesn't write anything if the
    /// account has no counts.
    ///
    /// # Errors
    /// The errors of [`Store::end_sessions_of_user`].
    pub async fn forget_free_work_of_user(
        &self,
        doing: &PlannedIntervention<'_>,
        now: u64,
    ) -> Result<Account> {
        let mut seen = doing.account.clone();
        let mut backoff = Backoff::new();
        loop {
            let Some(days) = &mut seen.free_work else { return Ok(seen) };
            let known = counts(now).map(|(_, key)| days.remove(&key));
            if known == [None; 3] {
                return Ok(seen);
            }
            let forget = self.update_unchanged(&seen, FORGET_UPDATE).names(counts(now));
            match self.intervene(doing, vec![forget]).await? {
                None => return Ok(seen),
                Some(current) => seen = current,
            }
            backoff.try_again(CONTENDED).await?;
        }
    }
}

/// Returns the attribute names and keys that [`FORGET_UPDATE`] uses.
fn counts(now: u64) -> [(&'static str, String); 3] {
    [
        ("#own", FreeWork::at(now, false).key()),
        ("#of_keys", FreeWork::at(now, true).key()),
        ("#underheld", underheld_key(now)),
    ]
}
