//! Counts of log-in attempts, either for one login or by one known client.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use serde::Deserialize;

use crate::store::requests::attempts::Attempt;
use crate::store::schema::pk;
use crate::store::{Outcome, Result, Store, StoreError, Write, from_item, n, s};
use crate::values::limit::{DAY, HOUR};

/// How many times a write to a count is attempted while other log-ins keep changing the count.
const TURNS: u32 = 5;

/// How many minutes there are in a day.
const MINUTES: u32 = 1440;

/// The pace at which attempts are admitted. The first attempts are admitted immediately, and
/// further attempts are admitted at regular intervals. After a day without an attempt, the count is
/// reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// How many attempts are admitted without a pause.
    free: u32,
    /// How many further attempts are admitted, spread evenly over a day.
    more: u32,
}

impl Pace {
    /// Returns the pace for unknown clients that use the same login (a username or an address). For
    /// each account, the paces for its username, its address and its owner ([`Pace::owner`]) add up
    /// to `most` attempts a day.
    pub(super) fn strangers(login: &str, most: u32) -> Self {
        let both = most - Self::owners(most);
        let share = if login.contains('@') { both / 2 } else { both - both / 2 };
        Self::for_share(share)
    }

    /// Returns the pace for the account's owner, who has an access token and confirms the password.
    pub(super) fn owner(most: u32) -> Self {
        Self::for_share(Self::owners(most))
    }

    /// Returns the pace for a client that logged in before. Many attempts are free, because
    /// successful log-ins also count while they are in progress, and programs may start many
    /// log-ins at the same time. After that, one attempt a minute is admitted, so that an owner who
    /// shares an IP address with an attacker doesn't have to wait longer.
    pub(super) fn known(most: u32) -> Self {
        Self { free: (most * 64 / 100).max(1), more: MINUTES }
    }

    fn owners(most: u32) -> u32 {
        (most * 18 / 100).max(1)
    }

    fn for_share(share: u32) -> Self {
        let free = (share / 3).max(1);
        Self { free, more: share.saturating_sub(free) }
    }

    pub(super) fn a_day(self) -> u32 {
        self.free + self.more
    }

    /// Returns the pause between two attempts, in seconds, once the free attempts are used up.
    fn pause(self) -> u64 {
        DAY.div_ceil(u64::from(self.more.max(1)))
    }
}

/// The item `attempt:login:<hash>` or `attempt:known:<hash>`, which counts attempts.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Count {
    /// The ids of free attempts that failed or are in progress.
    #[serde(default)]
    pub(super) tries: BTreeSet<String>,
    /// The id of the latest attempt that was admitted after a pause.
    #[serde(default)]
    pub(super) latest: String,
    /// The Unix time at which the next attempt is admitted once the free attempts are used up.
    #[serde(default)]
    pub(super) opens_at: u64,
    /// The Unix time at which the count is reset, unless another attempt is counted before then.
    #[serde(default)]
    pub(super) forgotten: u64,
    /// The networks from which clients have logged in with this login:
    /// `<day since 1970>:<mark of the network>`.
    #[serde(default)]
    pub(super) known: BTreeSet<String>,
    /// The Unix time after which DynamoDB may delete the item.
    #[serde(default)]
    pub(super) expires_at: u64,
}

/// The outcome of counting an attempt.
#[derive(Debug)]
pub(super) enum CountOutcome {
    /// The attempt is admitted. `before` is the count without it.
    In { slot: Slot, before: Count },
    /// The attempt is refused. The next attempt is admitted after `reset` seconds.
    Full { reset: u64, known: BTreeSet<String> },
}

/// How an attempt is added to a count.
#[derive(Clone, Copy, Debug)]
enum Admission {
    /// The attempt is one of the free attempts.
    Free,
    /// The attempt is the first after a reset.
    Afresh,
    /// The attempt is admitted after a pause.
    Paced,
}

impl Count {
    /// Returns how the next attempt is admitted. `None` if it is refused.
    fn admission(&self, pace: Pace, now: u64) -> Option<Admission> {
        if self.forgotten <= now {
            Some(Admission::Afresh)
        } else if u32::try_from(self.tries.len()).is_ok_and(|tries| tries < pace.free) {
            Some(Admission::Free)
        } else {
            (self.opens_at <= now).then_some(Admission::Paced)
        }
    }

    /// Returns the attempt's slot if an earlier copy of the attempt was already counted.
    fn slot_of(&self, id: &str) -> Option<Slot> {
        let free = self.tries.contains(id).then_some(Slot::Free(self.tries.len()));
        if self.latest == id { Some(Slot::Paced) } else { free }
    }
}

/// An attempt's slot in a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The nth free attempt, counting from 1.
    Free(usize),
    /// The attempt is admitted after a pause.
    Paced,
}

/// The condition for a free attempt.
const FREE: &str = "attribute_not_exists(forgotten) OR contains(tries, :id) \
    OR (forgotten > :now AND (attribute_not_exists(tries) OR size(tries) < :free))";

impl Store {
    /// Counts an attempt under this pk.
    pub(super) async fn count(
        &self,
        key: &str,
        pace: Pace,
        attempt: &Attempt,
    ) -> Result<CountOutcome> {
        let (id, now) = (&attempt.id, attempt.now);
        let mut admission = Admission::Free;
        let mut seen = Count::default();
        for _ in 0..TURNS {
            let take = self.take(admission, key, pace, attempt, &seen);
            seen = match self.send(&take).await? {
                Outcome::Applied(before) => {
                    let before: Count = from_item(before)?;
                    let slot = match admission {
                        Admission::Free => {
                            Slot::Free(before.tries.len() + usize::from(!before.tries.contains(id)))
                        }
                        Admission::Afresh => Slot::Free(1),
                        Admission::Paced => Slot::Paced,
                    };
                    return Ok(CountOutcome::In { slot, before });
                }
                Outcome::Refused(count) => {
                    self.item_that_refused(&take, count).await?.unwrap_or_default()
                }
            };
            // An earlier copy of this attempt was counted, and only its reply was lost.
            if let Some(slot) = seen.slot_of(id) {
                return Ok(CountOutcome::In { slot, before: seen });
            }
            match seen.admission(pace, now) {
                Some(next) => admission = next,
                None => {
                    return Ok(CountOutcome::Full {
                        reset: seen.opens_at - now,
                        known: seen.known,
                    });
                }
            }
        }
        Err(StoreError::Unavailable("a count of attempts kept changing".into()))
    }

    /// A write that adds an attempt to a count, if the count still allows the attempt. `seen` is
    /// the count, which must be freshly read.
    fn take(
        &self,
        admission: Admission,
        key: &str,
        pace: Pace,
        attempt: &Attempt,
        seen: &Count,
    ) -> Write {
        let Attempt { id, now, .. } = attempt;
        let update = |expression: &str| Write::update(&self.tables.tokens, pk(key), expression);
        let update = match admission {
            Admission::Free => update("SET forgotten = :forgotten, opens_at = :opens, expires_at = if_not_exists(expires_at, :ends) ADD tries :ids")
                .condition(FREE)
                .values([
                    (":ids", ids(id)),
                    (":id", s(id)),
                    (":now", n(now)),
                    (":free", n(pace.free)),
                ]),
            Admission::Afresh => update("SET tries = :ids, forgotten = :forgotten, opens_at = :opens, expires_at = :ends REMOVE latest")
                .condition("attribute_not_exists(forgotten) OR forgotten = :seen")
                .values([(":ids", ids(id)), (":seen", n(seen.forgotten))]),
            Admission::Paced => update("SET latest = :id, opens_at = :opens, forgotten = :forgotten, expires_at = :ends")
                .condition("forgotten > :now AND opens_at <= :now")
                .values([(":id", s(id)), (":now", n(now))]),
        };
        update
            .values([
                (":opens", n(now + pace.pause())),
                (":forgotten", n(now + DAY)),
                (":ends", n(seen.expires_at.max(now + 2 * DAY))),
            ])
            .returns(ReturnValue::AllOld)
            .shows_item()
    }

    /// Adds the attempt with this id to an hour's count. If the count has already reached `most`,
    /// returns the number of seconds until the next hour begins.
    pub(in crate::store) async fn count_in_hour(
        &self,
        key: &str,
        most: u32,
        id: &str,
        now: u64,
    ) -> Result<Option<u64>> {
        let (count, reset) = self.counts_in_hour(key, most, id, now);
        Ok((!self.send(&count).await?.is_applied()).then_some(reset))
    }

    /// Returns the write of [`Store::count_in_hour`], for a transaction, and the number of seconds
    /// until the next hour begins.
    pub(in crate::store) fn counts_in_hour(
        &self,
        key: &str,
        most: u32,
        id: &str,
        now: u64,
    ) -> (Write, u64) {
        let reset = HOUR - now % HOUR;
        let count =
            Write::update(&self.tables.tokens, pk(key), "SET expires_at = :ends ADD tries :ids")
                .condition(
                    "attribute_not_exists(tries) OR contains(tries, :id) OR size(tries) < :most",
                )
                .values([
                    (":ids", ids(id)),
                    (":id", s(id)),
                    (":most", n(most)),
                    (":ends", n(now + reset)),
                ]);
        (count, reset)
    }

    /// Removes a successful attempt from the count for unknown clients, and records its network as
    /// known.
    pub(super) async fn leave_strangers(&self, slot: Slot, attempt: &Attempt) -> Result<()> {
        let known = attempt.known_from_now_on();
        if slot == Slot::Free(1) && self.leave_alone(&known, attempt).await? {
            return Ok(());
        }
        // This attempt must not affect when earlier failures are forgotten.
        let forgotten =
            if attempt.forgotten > attempt.now { attempt.forgotten } else { attempt.now + DAY };
        let note = if known.is_empty() {
            "SET forgotten = :forgotten"
        } else {
            "SET forgotten = :forgotten, known = :known, expires_at = :ends"
        };
        let update =
            |expression: String| Write::update(&self.tables.tokens, pk(&attempt.login), expression);
        let update = match slot {
            Slot::Free(_) => update(format!("{note} DELETE tries :ids"))
                .condition("contains(tries, :id)")
                .values([(":ids", ids(&attempt.id))]),
            Slot::Paced => update(format!("{note}, opens_at = :now REMOVE latest"))
                .condition("latest = :id")
                .values([(":now", n(attempt.now))]),
        };
        let update = update.values([(":id", s(&attempt.id)), (":forgotten", n(forgotten))]);
        let update = match known.is_empty() {
            true => update,
            false => update.values([
                (":known", AttributeValue::Ss(known)),
                (":ends", n(attempt.known_until())),
            ]),
        };
        self.send(&update).await.map(drop)
    }

    /// Resets the count and records the known networks, if the count contains only this attempt.
    /// Otherwise changes nothing and returns `false`.
    async fn leave_alone(&self, known: &[String], attempt: &Attempt) -> Result<bool> {
        const ALONE: &str = "contains(tries, :id) AND size(tries) = :one";
        let key = pk(&attempt.login);
        let write = if known.is_empty() {
            Write::delete(&self.tables.tokens, key)
        } else {
            Write::update(
                &self.tables.tokens,
                key,
                "SET known = :known, expires_at = :ends REMOVE tries, forgotten, opens_at, latest",
            )
            .values([
                (":known", AttributeValue::Ss(known.to_vec())),
                (":ends", n(attempt.known_until())),
            ])
        };
        let write = write.condition(ALONE).values([(":id", s(&attempt.id)), (":one", n(1))]);
        Ok(self.send(&write).await?.is_applied())
    }

    /// Removes an admitted attempt from its count, because it is refused after all.
    pub(super) async fn take_back(&self, attempt: &Attempt) -> Result<()> {
        match &attempt.held {
            Some((key, Slot::Free(_))) => self.leave(key, &attempt.id).await,
            Some((key, Slot::Paced)) => {
                let take_back = Write::update(
                    &self.tables.tokens,
                    pk(key),
                    "SET opens_at = :now REMOVE latest",
                )
                .condition("latest = :id")
                .values([(":id", s(&attempt.id)), (":now", n(attempt.now))]);
                self.send(&take_back).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Removes an attempt from the ids in a count.
    pub(in crate::store) async fn leave(&self, key: &str, id: &str) -> Result<()> {
        let leave = Write::update(&self.tables.tokens, pk(key), "DELETE tries :ids")
            .condition("contains(tries, :id)")
            .values([(":id", s(id)), (":ids", ids(id))]);
        self.send(&leave).await.map(drop)
    }
}

/// Returns a set with one id.
fn ids(id: &str) -> AttributeValue {
    AttributeValue::Ss(vec![id.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guess_limits_add_up_to_the_daily_limit() {
        for most in 3..=100 {
            let paces = [
                Pace::strangers("ann", most),
                Pace::strangers("ann@example.com", most),
                Pace::owner(most),
            ];
            assert_eq!(paces.map(Pace::a_day).iter().sum::<u32>(), most);
            assert!(
                paces.iter().all(|pace| pace.free >= 1
                    && u64::from(pace.more) * pace.pause() >= u64::from(pace.more.min(1)) * DAY),
                "{paces:?}"
            );
        }
        assert_eq!(
            [Pace::strangers("ann", 100), Pace::owner(100), Pace::known(100)]
                .map(|pace| (pace.free, pace.a_day())),
            [(13, 41), (6, 18), (64, 1504)]
        );
        assert_eq!(Pace::strangers("ann", 100).pause(), 3086);
        assert_eq!(Pace::known(100).pause(), 60);
    }
}
