//! Attempts in the table Tokens: how often the password of an account may be guessed, and how often
//! one network may guess or register.
//!
//! A log-in is counted before its password is checked, in the write that admits it, so that no
//! number of parallel guesses gets past a limit; one that succeeds is taken back. Slots are taken
//! by random ids: a log-in whose write the SDK sends again counts once.
//!
//! Clients that logged in before, from this device or from this network, have a count of their own
//! beside the one of all strangers, so that a stranger who fills that one keeps out strangers alone ([OWASP](https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies)).

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use futures_util::future::try_join_all;
use serde::Deserialize;
use uuid::Uuid;

use super::schema::{
    known_attempts_key, login_attempts_key, mails_key, network_attempts_key, owner_attempts_key,
    pk, registrations_key,
};
use super::{Outcome, Store, Write, from_item, n, s};
use crate::auth::DeviceToken;
use crate::config::Config;
use crate::idempotency::fingerprint;
use crate::limit::Limit;
use crate::user::{Account, Email};
use crate::{Error, Result};

const DAY: u64 = 24 * 3600;

/// The window of what is counted per network, in seconds.
const HOUR: u64 = 3600;

/// How long after its last log-in a network is known, in days.
const KNOWN_DAYS: u64 = 90;

/// How many networks are known of one login. Those of the oldest log-ins make room.
const KNOWN: usize = 20;

/// How many guesses at one login are checked although they come from a network that has failed too
/// often: the right password gets through, and a network that tries every account has few guesses
/// at each.
const FEW: usize = 3;

/// How many e-mails go to an address that nobody has proven, in an hour: enough for its owner, and
/// no flood from many accounts.
const MAILS: u32 = 10;

/// How often one count is tried while other log-ins change it.
const TURNS: u32 = 5;

/// How many attempts are let in: some at once, and then one after the other at a steady pace, until
/// none was made for a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pace {
    /// How many are let in without waiting.
    free: u32,
    /// How many more are let in, evenly over a day.
    more: u32,
}

impl Pace {
    /// Of strangers to an account, as one login: a name or an e-mail address. Both and
    /// [`Pace::owner`] are `most` a day together.
    fn strangers(login: &str, most: u32) -> Self {
        let both = most - Self::owners(most);
        let share = if login.contains('@') { both / 2 } else { both - both / 2 };
        Self::within(share)
    }

    /// Of the account's owner, who is asked for the password beside a token.
    fn owner(most: u32) -> Self {
        Self::within(Self::owners(most))
    }

    /// Of one client that logged in before. Right log-ins are counted too while they are under way,
    /// and programs begin many at once.
    fn known(most: u32) -> Self {
        Self { free: (most * 64 / 100).max(1), more: most }
    }

    fn owners(most: u32) -> u32 {
        (most * 18 / 100).max(1)
    }

    fn within(share: u32) -> Self {
        let free = (share / 3).max(1);
        Self { free, more: share.saturating_sub(free) }
    }

    fn a_day(self) -> u32 {
        self.free + self.more
    }

    /// The seconds between two that are let in after the free ones.
    fn pause(self) -> u64 {
        DAY.div_ceil(u64::from(self.more.max(1)))
    }
}

/// What the table holds under a login or a client: `attempt:login:<hash>` and
/// `attempt:known:<hash>`.
#[derive(Debug, Default, Deserialize)]
struct Count {
    /// The free attempts that failed or are under way.
    #[serde(default)]
    tries: BTreeSet<String>,
    /// The last attempt after the free ones.
    #[serde(default)]
    latest: String,
    /// The second from which the next attempt is let in that is none of the free ones.
    #[serde(default)]
    opens_at: u64,
    /// The second at which all of this is forgotten, unless there is another attempt before.
    #[serde(default)]
    forgotten: u64,
    /// From which networks this login succeeded: `<day since 1970>:<mark of the network>`.
    #[serde(default)]
    known: BTreeSet<String>,
    /// DynamoDB deletes the item some time after this second.
    #[serde(default)]
    expires_at: u64,
}

/// What became of counting an attempt.
#[derive(Debug)]
enum Counted {
    /// It is let in; the count was this before.
    In { slot: Slot, before: Count },
    /// It is not; the next one is let in after this many seconds.
    Full { reset: u64, known: BTreeSet<String> },
}

/// How an attempt may take its place in a count that is as it was just read.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// Among the free ones.
    Free,
    /// As the first one, since all others are forgotten.
    Afresh,
    /// After a pause, alone.
    Paced,
}

impl Count {
    /// How the next attempt is let in; `None` as long as none is.
    fn turn(&self, pace: Pace, now: u64) -> Option<Turn> {
        if self.forgotten <= now {
            Some(Turn::Afresh)
        } else if u32::try_from(self.tries.len()).is_ok_and(|tries| tries < pace.free) {
            Some(Turn::Free)
        } else {
            (self.opens_at <= now).then_some(Turn::Paced)
        }
    }

    /// The slot that a copy of this attempt has taken already.
    fn slot_of(&self, id: &str) -> Option<Slot> {
        let free = self.tries.contains(id).then_some(Slot::Free(self.tries.len()));
        if self.latest == id { Some(Slot::Paced) } else { free }
    }
}

/// What an attempt holds of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// A free one, the nth.
    Free(usize),
    /// The one that a pause lets in.
    Paced,
}

/// A log-in under way, and the counts that it is in.
#[derive(Clone, Debug)]
pub struct Attempt {
    id: String,
    /// The strangers' count: of what was typed, and not of the account that it leads to. A client
    /// that is refused must not learn which names and addresses belong to one account, or to
    /// any.
    login: String,
    pace: Pace,
    own_pace: Pace,
    /// What this login knows the client's network by.
    network: Option<String>,
    /// The count of the client's network, and how many failures it may have, where that is
    /// limited.
    address: Option<(String, u32)>,
    /// How long that network's limit is used up, in seconds.
    address_full: Option<u64>,
    /// Which count has let it in, and how.
    held: Option<(String, Slot)>,
    /// From where this login succeeded before.
    known: BTreeSet<String>,
    /// When the strangers' count would have been forgotten without this attempt.
    forgotten: u64,
    now: u64,
}

impl Attempt {
    /// A log-in as `login`, which is the key of a name or an address or anything else that was
    /// typed, from the network `network`.
    pub fn new(login: &str, network: Option<&str>, config: &Config, now: u64) -> Self {
        let pace = Pace::strangers(login, config.login_attempts);
        Self {
            network: network.map(|network| mark(login, "network", network)),
            ..Self::counted(login_key(login), pace, network, config, now)
        }
    }

    /// A guess at the current password by a client with a token of the account with this id. No
    /// log-in can fill its count.
    pub fn of_owner(user_id: &str, network: Option<&str>, config: &Config, now: u64) -> Self {
        Self::counted(
            owner_attempts_key(user_id),
            Pace::owner(config.login_attempts),
            network,
            config,
            now,
        )
    }

    fn counted(
        login: String,
        pace: Pace,
        network: Option<&str>,
        config: &Config,
        now: u64,
    ) -> Self {
        let address = network.filter(|_| config.login_failures_per_address > 0);
        Self {
            id: Uuid::new_v4().simple().to_string().split_off(20),
            login,
            pace,
            own_pace: Pace::known(config.login_attempts),
            network: None,
            address: address.map(|network| {
                (network_attempts_key(network, now / HOUR), config.login_failures_per_address)
            }),
            address_full: None,
            held: None,
            known: BTreeSet::new(),
            forgotten: 0,
            now,
        }
    }

    /// What a wrong password is answered with: `wrong`, unless the client's network has failed too
    /// often.
    pub fn refused(&self, wrong: Error) -> Error {
        self.address_full.map_or(wrong, |reset| self.too_many_from_address(reset))
    }

    fn too_many_from_address(&self, reset: u64) -> Error {
        let most = self.address.as_ref().map_or(0, |(_, most)| *most);
        Error::TooManyAttempts(Limit {
            name: "failed-log-ins",
            most,
            window: Some(HOUR),
            left: 0,
            reset,
        })
    }

    /// The count of this very client, if it logged in before: by its device where it keeps a token,
    /// or else by its network.
    fn own_count(&self, device: Option<String>) -> Option<String> {
        let mark = device.or_else(|| self.network.clone().filter(|network| self.knows(network)))?;
        Some(known_attempts_key(&mark))
    }

    fn knows(&self, mark: &str) -> bool {
        let since = (self.now / DAY).saturating_sub(KNOWN_DAYS);
        self.known
            .iter()
            .filter_map(|entry| parts(entry))
            .any(|(day, known)| known == mark && day >= since)
    }

    /// When the last network is forgotten.
    fn known_until(&self) -> u64 {
        self.now + (KNOWN_DAYS + 1) * DAY
    }

    /// From which networks this login has succeeded, this one included.
    fn known_from_now_on(&self) -> Vec<String> {
        let (today, since) = (self.now / DAY, (self.now / DAY).saturating_sub(KNOWN_DAYS));
        let mut days: BTreeMap<&str, u64> = self
            .known
            .iter()
            .filter_map(|entry| parts(entry))
            .map(|(day, mark)| (mark, day))
            .collect();
        days.extend(self.network.as_deref().map(|network| (network, today)));
        let mut entries: Vec<(u64, &str)> = days
            .into_iter()
            .map(|(mark, day)| (day, mark))
            .filter(|(day, _)| *day >= since)
            .collect();
        entries.sort_unstable_by(|one, other| other.cmp(one));
        entries.into_iter().take(KNOWN).map(|(day, mark)| format!("{day}:{mark}")).collect()
    }
}

/// The day and the mark of an entry of [`Count::known`].
fn parts(entry: &str) -> Option<(u64, &str)> {
    let (day, mark) = entry.split_once(':')?;
    Some((day.parse().ok()?, mark))
}

/// What a login knows a network or a device by: short, and of no use to find it.
fn mark(login: &str, kind: &str, id: &str) -> String {
    let mut mark = fingerprint(format!("{kind} {id} {login}"));
    mark.truncate(16);
    mark
}

/// Hashed: what strangers type may be long, and may be a password in the wrong field.
fn login_key(login: &str) -> String {
    login_attempts_key(&fingerprint(login))
}

/// What counting an attempt came to, before its account is known.
#[derive(Debug)]
pub struct Counts {
    by_login: Counted,
    address_full: Option<u64>,
}

/// On what condition an attempt takes a free slot.
const FREE: &str = "attribute_not_exists(forgotten) OR contains(tries, :id) \
    OR (forgotten > :now AND (attribute_not_exists(tries) OR size(tries) < :free))";

fn too_many(pace: Pace, reset: u64) -> Error {
    Error::TooManyAttempts(Limit {
        name: "log-ins",
        most: pace.a_day(),
        window: Some(DAY),
        left: 0,
        reset,
    })
}

impl Store {
    /// Counts a log-in under its login and its network, whatever account it leads to, if any.
    /// [`Store::admit`] decides, with the account.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin_attempt(&self, attempt: &Attempt) -> Result<Counts> {
        let by_address = async {
            match &attempt.address {
                Some((key, most)) => self.count_in_hour(key, *most, attempt).await,
                None => Ok(None),
            }
        };
        let (by_login, address_full) =
            tokio::try_join!(self.count(&attempt.login, attempt.pace, attempt), by_address)?;
        Ok(Counts { by_login, address_full })
    }

    /// Lets a counted log-in in, so that its password is checked. Where strangers are kept out, a
    /// client that logged in before is counted by itself: `device` is the token that it keeps,
    /// which counts only if it is of this `account`.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] where the password must not be checked: too many were wrong for
    /// this login, or from this network.
    pub async fn admit(
        &self,
        attempt: &mut Attempt,
        counts: Counts,
        device: Option<&DeviceToken>,
        account: Option<&Account>,
    ) -> Result<()> {
        let device = device.filter(|device| account.is_some_and(|account| device.knows(account)));
        let device = device.map(|device| mark(&attempt.login, "device", &device.id));
        let Counts { by_login, address_full } = counts;
        attempt.address_full = address_full;
        match by_login {
            Counted::In { slot, before } => {
                attempt.known = before.known;
                attempt.forgotten = before.forgotten;
                attempt.held = Some((attempt.login.clone(), slot));
                let Some(reset) = address_full else { return Ok(()) };
                let few = matches!(slot, Slot::Free(nth) if nth <= FEW);
                if few || attempt.own_count(device).is_some() {
                    return Ok(());
                }
                // A network that is stopped must not stop the logins of other people.
                self.take_back(attempt).await?;
                Err(attempt.too_many_from_address(reset))
            }
            Counted::Full { reset, known } => {
                attempt.known = known;
                let own = attempt.own_count(device).ok_or_else(|| too_many(attempt.pace, reset))?;
                match self.count(&own, attempt.own_pace, attempt).await? {
                    Counted::In { slot, .. } => {
                        attempt.held = Some((own, slot));
                        Ok(())
                    }
                    Counted::Full { reset, .. } => Err(too_many(attempt.own_pace, reset)),
                }
            }
        }
    }

    /// Counts an attempt under this key.
    async fn count(&self, key: &str, pace: Pace, attempt: &Attempt) -> Result<Counted> {
        let (id, now) = (&attempt.id, attempt.now);
        let mut turn = Turn::Free;
        let mut seen = Count::default();
        for _ in 0..TURNS {
            let take = self.take(turn, key, pace, attempt, &seen);
            seen = match self.send(&take).await? {
                Outcome::Applied(before) => {
                    let before: Count = from_item(before)?;
                    let slot = match turn {
                        Turn::Free => {
                            Slot::Free(before.tries.len() + usize::from(!before.tries.contains(id)))
                        }
                        Turn::Afresh => Slot::Free(1),
                        Turn::Paced => Slot::Paced,
                    };
                    return Ok(Counted::In { slot, before });
                }
                Outcome::Refused(count) => self.refused_by(&take, count).await?.unwrap_or_default(),
            };
            // It was counted, and only the reply was lost.
            if let Some(slot) = seen.slot_of(id) {
                return Ok(Counted::In { slot, before: seen });
            }
            match seen.turn(pace, now) {
                Some(next) => turn = next,
                None => return Ok(Counted::Full { reset: seen.opens_at - now, known: seen.known }),
            }
        }
        Err(Error::Unavailable("a count of attempts kept changing".into()))
    }

    /// The write by which an attempt takes its place, if the count is still as `seen`.
    fn take(&self, turn: Turn, key: &str, pace: Pace, attempt: &Attempt, seen: &Count) -> Write {
        let Attempt { id, now, .. } = attempt;
        let update = |expression: &str| Write::update(&self.tables.tokens, pk(key), expression);
        let update = match turn {
            Turn::Free => update("SET forgotten = :forgotten, opens_at = :opens, expires_at = if_not_exists(expires_at, :ends) ADD tries :ids")
                .when(FREE)
                .values([
                    (":ids", ids(id)),
                    (":id", s(id)),
                    (":now", n(now)),
                    (":free", n(pace.free)),
                ]),
            Turn::Afresh => update("SET tries = :ids, forgotten = :forgotten, opens_at = :opens, expires_at = :ends REMOVE latest")
                .when("attribute_not_exists(forgotten) OR forgotten = :seen")
                .values([(":ids", ids(id)), (":seen", n(seen.forgotten))]),
            Turn::Paced => update("SET latest = :id, opens_at = :opens, forgotten = :forgotten, expires_at = :ends")
                .when("forgotten > :now AND opens_at <= :now")
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

    /// Counts an attempt from a network in this hour; the seconds until the next hour where it has
    /// had too many.
    async fn count_in_hour(&self, key: &str, most: u32, attempt: &Attempt) -> Result<Option<u64>> {
        let Attempt { id, now, .. } = attempt;
        let reset = HOUR - now % HOUR;
        let count =
            Write::update(&self.tables.tokens, pk(key), "SET expires_at = :ends ADD tries :ids")
                .when("attribute_not_exists(tries) OR contains(tries, :id) OR size(tries) < :most")
                .values([
                    (":ids", ids(id)),
                    (":id", s(id)),
                    (":most", n(most)),
                    (":ends", n(now + reset)),
                ]);
        Ok((!self.send(&count).await?.is_applied()).then_some(reset))
    }

    /// Notes that the password was right: it was no guess, and from now on its network is known.
    /// What a client that is counted by itself got wrong before is forgotten; the strangers'
    /// failures and those of the network stay.
    pub async fn pass_attempt(&self, attempt: &Attempt) -> Result<()> {
        let by_address = async {
            match &attempt.address {
                Some((key, _)) if attempt.address_full.is_none() => self.leave(key, attempt).await,
                _ => Ok(()),
            }
        };
        let by_login = async {
            match &attempt.held {
                Some((key, slot)) if *key == attempt.login => {
                    self.leave_strangers(*slot, attempt).await
                }
                Some((key, _)) => {
                    // Only as long as it is counted itself: a copy that arrives late forgets
                    // nothing of what failed since.
                    let end = Write::delete(&self.tables.tokens, pk(key))
                        .when("contains(tries, :id) OR latest = :id")
                        .values([(":id", s(&attempt.id))]);
                    self.send(&end).await.map(drop)
                }
                None => Ok(()),
            }
        };
        tokio::try_join!(by_login, by_address).map(drop)
    }

    /// Takes an attempt that was no guess out of the strangers' count, and notes its network.
    async fn leave_strangers(&self, slot: Slot, attempt: &Attempt) -> Result<()> {
        let known = attempt.known_from_now_on();
        if slot == Slot::Free(1) && self.leave_alone(&known, attempt).await? {
            return Ok(());
        }
        // Other failures are forgotten when they would have been without this log-in.
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
                .when("contains(tries, :id)")
                .values([(":ids", ids(&attempt.id))]),
            Slot::Paced => update(format!("{note}, opens_at = :now REMOVE latest"))
                .when("latest = :id")
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

    /// The same where no other attempt is counted; `false` where one is by now.
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
        let write = write.when(ALONE).values([(":id", s(&attempt.id)), (":one", n(1))]);
        Ok(self.send(&write).await?.is_applied())
    }

    /// Takes an attempt back that is not let in after all.
    async fn take_back(&self, attempt: &Attempt) -> Result<()> {
        match &attempt.held {
            Some((key, Slot::Free(_))) => self.leave(key, attempt).await,
            Some((key, Slot::Paced)) => {
                let take_back = Write::update(
                    &self.tables.tokens,
                    pk(key),
                    "SET opens_at = :now REMOVE latest",
                )
                .when("latest = :id")
                .values([(":id", s(&attempt.id)), (":now", n(attempt.now))]);
                self.send(&take_back).await.map(drop)
            }
            None => Ok(()),
        }
    }

    /// Takes an attempt out of the tries of a count.
    async fn leave(&self, key: &str, attempt: &Attempt) -> Result<()> {
        let leave = Write::update(&self.tables.tokens, pk(key), "DELETE tries :ids")
            .when("contains(tries, :id)")
            .values([(":id", s(&attempt.id)), (":ids", ids(&attempt.id))]);
        self.send(&leave).await.map(drop)
    }

    /// Forgets every failed log-in by strangers to an account, whatever it was found by, the key of
    /// its name or its address, and the failures of its owner.
    pub async fn forget_attempts(
        &self,
        user_id: &str,
        name_key: &str,
        address: Option<&str>,
    ) -> Result<()> {
        let address = address.and_then(|address| Email::parse(address).ok());
        let logins =
            [Some(name_key), address.as_ref().map(Email::key)].into_iter().flatten().map(login_key);
        try_join_all(logins.chain([owner_attempts_key(user_id)]).map(|key| self.forget_login(key)))
            .await
            .map(drop)
    }

    async fn forget_login(&self, key: String) -> Result<()> {
        self.send(&Write::delete(&self.tables.tokens, pk(key))).await.map(drop)
    }

    /// The count of a registration from `network`, as a part of its transaction, which the
    /// transaction's token keeps from counting twice.
    pub(super) fn count_registration(&self, quota: &Quota) -> Write {
        let key = registrations_key(&quota.network, quota.now / HOUR);
        self.count_in_this_hour(key, quota.most, quota.now)
    }

    /// The count of a mail to the address with this key, which anybody may have given for their
    /// own, as a part of the transaction that posts it.
    pub(super) fn count_mail(&self, address_key: &str, now: u64) -> Write {
        let key = mails_key(&fingerprint(address_key), now / HOUR);
        self.count_in_this_hour(key, MAILS, now)
    }

    fn count_in_this_hour(&self, key: String, most: u32, now: u64) -> Write {
        Write::update(
            &self.tables.tokens,
            pk(key),
            "SET counted = if_not_exists(counted, :none) + :one, expires_at = :ends",
        )
        .when("attribute_not_exists(counted) OR counted < :most")
        .values([
            (":none", n(0)),
            (":one", n(1)),
            (":most", n(most)),
            (":ends", n((now / HOUR + 1) * HOUR)),
        ])
    }
}

/// A set of this one id.
fn ids(id: &str) -> AttributeValue {
    AttributeValue::Ss(vec![id.to_owned()])
}

/// What the refusal of a counted mail says.
pub(super) fn mailed_enough(now: u64) -> Error {
    Error::TooManyMails(Limit {
        name: "mails",
        most: MAILS,
        window: Some(HOUR),
        left: 0,
        reset: HOUR - now % HOUR,
    })
}

/// How many accounts one network may open in an hour.
#[derive(Clone, Debug)]
pub struct Quota {
    network: String,
    most: u32,
    now: u64,
}

impl Quota {
    /// The quota of `network`; nothing where registrations are not limited, or the network is not
    /// known.
    pub fn of(network: Option<&str>, config: &Config, now: u64) -> Option<Self> {
        let network = network.filter(|_| config.registrations_per_address > 0)?;
        Some(Self { network: network.to_owned(), most: config.registrations_per_address, now })
    }

    /// What a refusal says.
    pub(super) fn exhausted(&self) -> Error {
        let reset = HOUR - self.now % HOUR;
        Error::TooManyRegistrations(Limit {
            name: "registrations",
            most: self.most,
            window: Some(HOUR),
            left: 0,
            reset,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[test]
    fn strangers_by_name_and_by_address_and_an_owner_together_never_have_more_than_the_limit_a_day()
    {
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
            [(13, 41), (6, 18), (64, 164)]
        );
        assert_eq!(Pace::strangers("ann", 100).pause(), 3086);
    }

    #[test]
    fn the_twenty_networks_of_the_last_log_ins_are_known_for_ninety_days() {
        let tables = Settings::new(|name| name.ends_with("_TABLE").then(|| name.to_owned()));
        let config = Config::read(&tables).unwrap();
        let attempt = |network: &str, day: u64, known: &[String]| {
            let attempt = Attempt::new("ann", Some(network), &config, day * DAY);
            Attempt { known: known.iter().cloned().collect(), ..attempt }
        };
        let mut known = Vec::new();
        for day in 1..=30 {
            known = attempt(&format!("192.0.2.{day}"), day, &known).known_from_now_on();
        }
        assert_eq!(known.len(), KNOWN);
        let is_known = |network: &str, day| attempt(network, day, &known).own_count(None).is_some();
        assert!(
            is_known("192.0.2.11", 31)
                && !is_known("192.0.2.10", 31)
                && !is_known("192.0.2.31", 31)
        );
        assert!(is_known("192.0.2.30", 120) && !is_known("192.0.2.30", 121));
        assert_eq!(attempt("192.0.2.30", 121, &known).known_from_now_on().len(), 1);
        assert_ne!(
            attempt("192.0.2.1", 1, &[]).network,
            Attempt::new("ben", Some("192.0.2.1"), &config, DAY).network
        );
    }
}
