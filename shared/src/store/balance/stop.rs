//! Stops a chat whose answer is being written.

use crate::store::balance::hold::Hold;
use crate::store::schema::pk;
use crate::store::{Result, Store, Write, flag, s};
use crate::values::Account;

/// The outcome of a request to stop a chat. `Marked` and `Settled` contain the chat's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopOutcome {
    /// The hold is marked, and the chat's function ends the answer soon.
    Marked(String),
    /// The chat was already settled.
    Settled(String),
    /// No chat with this idempotency key is in progress or has been settled.
    Unknown,
}

impl Store {
    /// Marks the hold of the chat with this idempotency key, if the chat is in progress. `account`
    /// must be freshly read. The chat's function [looks for the mark](Store::is_stopped), ends the
    /// answer, and settles or releases the hold as usual. The mark doesn't move credits.
    /// Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable). In this case, the chat
    /// may or may not have been stopped.
    pub async fn stop(&self, account: &Account, key_id: &str, now: u64) -> Result<StopOutcome> {
        // Once its hold's lease has ended, a chat can no longer be answered.
        let held = account.reservations.get(key_id).filter(|held| held.expires_at > now);
        if let Some(held) = held {
            // Compare the hold's owner, which is the chat's id, so that a later chat with the same
            // idempotency key isn't stopped.
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

    /// Returns true if the user has stopped this hold's chat.
    pub async fn is_stopped(&self, hold: &Hold) -> Result<bool> {
        let account = self.account_at(&hold.account).await?;
        let held = account.as_ref().and_then(|account| account.reservations.get(&hold.rid));
        Ok(held.is_some_and(|held| held.stopped && held.owner == hold.held.owner))
    }
}
