//! The sweep returns credits that were held for chats when their function died.
//!
//! A reserve adds the account to the sparse `due` index, keyed by the time at which the hold's
//! lease ends. A sweep reads only that index, so its cost doesn't grow with the number of idle
//! accounts.

use crate::store::schema::pk;
use crate::store::{Item, Result, Store, StoreError, Write, n};

/// The results of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many accounts were inspected.
    pub accounts: usize,
    /// How many holds were released.
    pub released: usize,
    /// How many credits the released holds contained.
    pub credits: u64,
}

impl Store {
    /// Releases every expired hold, and removes idle accounts from the index. Parallel and
    /// interrupted sweeps are safe, because every write is conditional. If an account can't be
    /// read, the sweep skips it and returns an error at the end.
    pub async fn sweep(&self, now: u64) -> Result<SweepReport> {
        let mut swept = SweepReport::default();
        let mut unreadable = None;
        let mut start = None;
        loop {
            let (accounts, next) = self.due_accounts("due", now, start).await?;
            for (pk, due) in accounts {
                swept.accounts += 1;
                match self.sweep_account(&pk, due, now).await {
                    Ok((released, tokens)) => {
                        swept.released += released;
                        swept.credits += tokens;
                    }
                    Err(error @ StoreError::Internal(_)) => unreadable = Some(error),
                    Err(error) => return Err(error),
                }
            }
            if next.is_none() {
                return unreadable.map_or(Ok(swept), Err);
            }
            start = next;
        }
    }

    /// Reads a page of a sparse index whose key is a Unix time, stored in the attribute with the
    /// same name as the index. Returns the accounts whose time is not later than `now`. Also
    /// returns where the next page begins.
    pub(in crate::store) async fn due_accounts(
        &self,
        index: &str,
        now: u64,
        start: Option<Item>,
    ) -> Result<(Vec<(String, u64)>, Option<Item>)> {
        let scan = self
            .client
            .scan()
            .table_name(&self.tables.users)
            .index_name(index)
            .set_exclusive_start_key(start);
        let page = scan.send().await?;
        let mut due = Vec::new();
        for item in page.items.unwrap_or_default() {
            let second = item
                .get(index)
                .and_then(|second| second.as_n().ok())
                .and_then(|second| second.parse::<u64>().ok());
            let pk = item.get("pk").and_then(|pk| pk.as_s().ok());
            let (Some(second), Some(pk)) = (second, pk) else {
                return Err(StoreError::Internal(format!(
                    "an item of the index {index} without its keys"
                )));
            };
            if second <= now {
                due.push((pk.clone(), second));
            }
        }
        Ok((due, page.last_evaluated_key))
    }

    /// Releases the account's expired holds. Returns the number of released holds and the sum of
    /// their credits.
    async fn sweep_account(&self, key: &str, due: u64, now: u64) -> Result<(usize, u64)> {
        let Some(account) = self.account_at(key).await? else { return Ok((0, 0)) };
        let (expired, live): (Vec<_>, Vec<_>) =
            account.reservations.iter().partition(|(_, held)| held.expires_at <= now);
        for (rid, held) in &expired {
            self.release_expired(key, &account.id, rid, held).await?;
        }
        let update = |expression: &str| Write::update(&self.tables.users, pk(key), expression);
        // A reserve that is applied in between adds a hold but doesn't change `due`. The next sweep
        // then inspects the account again.
        let update = match live.iter().map(|(_, held)| held.expires_at).min() {
            None => update("REMOVE due")
                .condition("due = :due AND size(reservations) = :none")
                .values([(":none", n(0))]),
            Some(next) => {
                update("SET due = :next").condition("due = :due").values([(":next", n(next))])
            }
        };
        self.send(&update.values([(":due", n(due))])).await?;
        let tokens: u64 = expired.iter().map(|(_, held)| held.cost.get()).sum();
        Ok((expired.len(), tokens))
    }
}
