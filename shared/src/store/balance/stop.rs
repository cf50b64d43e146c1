//! Stopping a chat whose answer is being written.

use crate::store::balance::hold::Hold;
use crate::store::schema::pk;
use crate::store::{Result, Store, Write, flag, s};
use crate::values::Account;

/// The outcome of a request to stop a chat. Both ids are the chat's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// Its hold is marked: its function ends the answer soon.
    Marked(String),
    /// It was settled before.
    Settled(String),
    /// No chat with this idempotency key holds credits, and none was settled.
    Unknown,
}

impl Store {
    /// Marks the hold of the chat that is answered under an idempotency key of this account,
    /// which was just read. The chat's function [looks for the mark](Store::is_stopped), ends the
    /// answer and settles or releases the hold as ever: the mark moves no credits. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable); the chat may be stopped then or not.
    pub async fn stop(&self, account: &Account, key_id: &str, now: u64) -> Result<StopOutcome> {
        // After the lease no function answers.
        let held = account.reservations.get(key_id).filter(|held| held.expires_at > now);
        if let Some(held) = held {
            // The owner is compared, so that a later chat with the same idempotency key isn't
            // stopped.
            let mark = Write::update(
                &self.tables.users,
                pk(&account.pk),
                "SET reservations.#rid.stopped = :true",
            )
            .condition("id = :id AND reservations.#rid.#owner = :owner")
            .names([("#rid", key_id), ("#owner", "owner")])
            .values([
                (":id", s(&account.id)),
                (":owner", s(&held.owner)),
                (":true", flag(true)),
            ]);
            if self.send(&mark).await?.is_applied() {
                return Ok(StopOutcome::Marked(held.owner.clone()));
            }
        }
        let record = self.record(key_id, now).await?;
        Ok(record.map_or(StopOutcome::Unknown, |record| StopOutcome::Settled(record.result_id)))
    }

    /// Whether the chat of this hold is to be stopped.
    pub async fn is_stopped(&self, hold: &Hold) -> Result<bool> {
        let account = self.account_at(&hold.account).await?;
        let held = account.as_ref().and_then(|account| account.reservations.get(&hold.rid));
        Ok(held.is_some_and(|held| held.stopped && held.owner == hold.held.owner))
    }
}
