//! The users who spent the most, by day. Like the daily figures, this list is computed from the
//! ledger and stored for each closed day.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::store::Store;
use crate::store::ledger::entries::CountedRow;
use crate::store::ledger::figures::Daily;
use crate::store::schema::spenders_pk;
use crate::store::timeline::DataPeriod;

use crate::clock::Day;
use crate::store::Result;

/// How many users are stored for each day.
const USERS_PER_DAY: usize = 250;

/// A user's paid chats on one or more days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spender {
    /// The account's id.
    pub id: String,
    /// How many chats the user paid for.
    pub chats: u64,
    /// How many credits these chats cost.
    pub spent: u64,
}

/// The users who spent the most on one or more days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spenders {
    /// The users, sorted by the credits that they spent, largest amount first.
    pub users: Vec<Spender>,
    /// True if the list contains all users. Only a limited number of users is stored for each day.
    pub complete: bool,
}

impl Default for Spenders {
    fn default() -> Self {
        Self { users: Vec::new(), complete: true }
    }
}

impl Spenders {
    /// Sorts users by the credits that they spent, largest amount first.
    fn sorted(spent: HashMap<String, (u64, u64)>, complete: bool) -> Self {
        let user = |(id, (chats, spent))| Spender { id, chats, spent };
        let mut users: Vec<Spender> = spent.into_iter().map(user).collect();
        users.sort_by(|one, other| {
            (other.spent, other.chats, &one.id).cmp(&(one.spent, one.chats, &other.id))
        });
        Self { users, complete }
    }

    fn sum(days: impl IntoIterator<Item = Self>) -> Self {
        let (mut sums, mut complete) = (HashMap::<String, (u64, u64)>::new(), true);
        for day in days {
            complete &= day.complete;
            for Spender { id, chats, spent } in day.users {
                let sum = sums.entry(id).or_default();
                *sum = (sum.0.saturating_add(chats), sum.1.saturating_add(spent));
            }
        }
        Self::sorted(sums, complete)
    }
}

impl Daily for Spenders {
    fn key(day: Day) -> String {
        spenders_pk(day)
    }

    async fn count(store: &Store, day: Day) -> Result<Self> {
        let add = |sums: &mut HashMap<String, (u64, u64)>, row: CountedRow| {
            if row.charges() {
                let spent = u64::try_from(row.amount.saturating_neg()).unwrap_or_default();
                let sum = sums.entry(row.user_id).or_default();
                *sum = (sum.0 + 1, sum.1.saturating_add(spent));
            }
        };
        let places = store.partitions_of(day);
        let counted = store.count_rows(day, places, CountedRow::ATTRIBUTES, add).await?;
        // All of a user's rows for one day are in the same partition.
        let mut spenders = Self::sorted(counted.into_iter().flatten().collect(), true);
        spenders.complete = spenders.users.len() <= USERS_PER_DAY;
        spenders.users.truncate(USERS_PER_DAY);
        Ok(spenders)
    }
}

impl Store {
    /// Returns the users who spent the most over `days` days, starting with `first`. The user with
    /// the largest total comes first. Computes and stores the closed days that weren't stored
    /// before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable) if the computation isn't
    /// complete at `until`. Completed days are stored, so the next call continues from there.
    pub async fn spenders(
        &self,
        first: Day,
        days: u64,
        period: DataPeriod,
        until: Instant,
    ) -> Result<Spenders> {
        let days: BTreeMap<Day, Spenders> = self.daily(first, days, period, until).await?;
        Ok(Spenders::sum(days.into_values()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rankings_are_sorted_and_complete_if_each_day_is() {
        let day = |users: &[(&str, u64, u64)], complete| Spenders {
            users: users
                .iter()
                .map(|(id, chats, spent)| Spender {
                    id: (*id).to_owned(),
                    chats: *chats,
                    spent: *spent,
                })
                .collect(),
            complete,
        };
        let one = day(&[("ann", 1, 100), ("ben", 2, 300)], true);
        let other = day(&[("ann", 3, 250), ("cat", 2, 350), ("dan", 3, 350)], true);
        let sum = Spenders::sum([one.clone(), other]);
        assert_eq!(
            sum,
            day(&[("ann", 4, 350), ("dan", 3, 350), ("cat", 2, 350), ("ben", 2, 300)], true)
        );
        assert!(!Spenders::sum([one, day(&[], false)]).complete);
        assert_eq!(Spenders::sum([]), Spenders::default());
    }
}
