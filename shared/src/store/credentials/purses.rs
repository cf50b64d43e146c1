//! The purses of API keys with a limit, computed from the ledger.

use std::collections::{BTreeMap, HashMap};

use crate::Credits;
use crate::clock::{month, previous_month};
use crate::values::restrictions::key_and_period;
use crate::values::{Account, Entry, LimitPeriod, StoredApiKey};

/// How many credits each purse should contain, keyed by purse name.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Purses(HashMap<String, i128>);

impl Purses {
    /// Counts the account's holds.
    pub(in crate::store) fn of_holds(account: &Account) -> Self {
        let mut purses = Self::default();
        for held in account.reservations.values() {
            if let Some(purse) = &held.purse {
                *purses.0.entry(purse.clone()).or_default() += i128::from(held.cost.get());
            }
        }
        purses
    }

    /// Counts a chat's ledger entry.
    pub(in crate::store) fn add(&mut self, entry: &Entry) {
        let Some(key) = &entry.key_id else { return };
        for period in [LimitPeriod::Month, LimitPeriod::Total] {
            let purse = period.purse(key, &month(entry.time));
            *self.0.entry(purse).or_default() -= i128::from(entry.amount);
        }
    }

    /// Returns the name of the purse that the account must still contain for this key: the purse
    /// for the key's entire lifetime, or for the latest month in which the key was used. The result
    /// is empty if the key was never used.
    pub(in crate::store) fn of_key(&self, key: &str, per: LimitPeriod) -> Vec<String> {
        let of_key = self.0.keys().filter(|purse| key_and_period(purse).0 == key);
        let mut periods: Vec<_> = of_key.filter(|purse| per.counts_in(purse)).cloned().collect();
        periods.sort();
        let kept = periods.len().saturating_sub(1);
        periods.split_off(kept)
    }

    /// Returns the credits in a purse.
    pub(in crate::store) fn get(&self, purse: &str) -> i128 {
        self.0.get(purse).copied().unwrap_or(0)
    }

    /// Returns the purses of an account with these keys: for each key with a limit, either the
    /// purse for the key's entire lifetime, or the purses for this month and last month. `None` if
    /// no key has a limit.
    pub(in crate::store) fn of_keys(
        &self,
        keys: &[&StoredApiKey],
        this_month: &str,
    ) -> Option<BTreeMap<String, Credits>> {
        let last_month = previous_month(this_month);
        let mut purses = BTreeMap::new();
        for key in keys {
            let Some(limit) = key.limit() else { continue };
            let own = self.0.iter().filter(|(purse, _)| {
                let (id, period): (&str, &str) = key_and_period(purse);
                let counts = match limit.per {
                    LimitPeriod::Total => period == LimitPeriod::Total.word(),
                    LimitPeriod::Month => (last_month.as_str()..=this_month).contains(&period),
                };
                id == key.id() && counts
            });
            for (purse, spent) in own {
                let spent = u64::try_from(*spent).ok().and_then(Credits::new);
                purses.insert(purse.clone(), spent.unwrap_or_default());
            }
            purses.entry(limit.per.purse(key.id(), this_month)).or_default();
        }
        (!purses.is_empty()).then_some(purses)
    }
}
