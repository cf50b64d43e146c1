//! Limits on an account's chats: how many may wait for the AI at a time, how many may begin or be
//! refunded per minute, and how much free work the AI may do per day.
//!
//! An API key with a limit can use at most half of each limit, so that enough is left for the
//! account's owner.

use std::collections::BTreeMap;

use crate::Credits;
use crate::clock::Day;
use crate::config::Config;
use crate::values::{Account, Allowances, Credential, Limit};

/// The window in which an account's chats are counted, in seconds.
pub(super) const MINUTE: u64 = 60;

/// The longest time that a function can run, in minutes.
pub(super) const RUN_MINUTES: u64 = 15;

/// The window of the limit on free work, in seconds. Each day begins at midnight UTC.
pub(super) const DAY: u64 = 86_400;

/// How many of an account's answers can be cut off per day, or how many of its messages with files
/// can fail, before its free work is used up. Assumes that it hasn't earned any additional free
/// work.
const CUTS_A_DAY: u64 = 100;

/// An account earns a quarter of each charge as free work. Each charge counts on two days, so an
/// account that pays the same amount every day earns half of this amount each day. An operator
/// whose fares are 1.5 times the provider's prices therefore doesn't lose money.
const EARNS_ONE_OF: u32 = 4;

/// The limits on a caller's chats, and the account's allowance.
#[derive(Clone, Copy, Debug)]
pub struct ChatLimits {
    /// How many of the account's chats may be waiting for the AI at a time. Once this number is
    /// reached, the caller can't begin another chat.
    pub parallel: u32,
    /// How many of the account's chats may begin in one minute. Once this number is reached, the
    /// caller can't begin another chat in that minute.
    pub per_minute: u32,
    /// How many of the account's chats, across all its callers, may wait for the AI at a time.
    pub parallel_of_account: u32,
    /// How many of the account's chats may be refunded per minute.
    pub refunds: u32,
    /// How many of the account's refunds per minute the caller may use.
    pub refunds_of_caller: u32,
    /// How much free work an account may use per day, in credits, even if it has earned less.
    pub free_work: Credits,
    /// The allowances to which balances are topped up in each period.
    pub allowances: Allowances,
}

/// Whether a refund counts towards the per-minute limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    /// The chat was refused before the AI was called, because the credits don't cover an answer.
    Uncounted,
    /// The chat has failed.
    Counted,
}

impl ChatLimits {
    /// Reads the limits from the settings. A caller with a limited API key gets half of each limit,
    /// but at least one chat.
    pub fn of_caller(config: &Config, caller: &Credential) -> Self {
        let limits = Self {
            parallel: config.parallel_chats,
            parallel_of_account: config.parallel_chats,
            per_minute: config.chats_per_minute,
            refunds: config.refunds_per_minute,
            refunds_of_caller: config.refunds_per_minute,
            free_work: config.free_work,
            allowances: config.allowances,
        };
        match caller.limit() {
            None => limits,
            Some(_) => Self {
                // Don't allow more chats than refunds. Even if all these chats fail at once, their
                // refunds don't exceed the account's limit.
                parallel: half(limits.parallel.min(limits.refunds)),
                per_minute: half(limits.per_minute),
                refunds_of_caller: half(limits.refunds),
                ..limits
            },
        }
    }

    /// Returns how much free work to count for an answer that the function cut off before the
    /// provider reported its usage. The provider may charge for reasoning that it hasn't sent.
    /// A failed message whose files were stored counts the same.
    pub(crate) fn free_work_of_cut(self) -> Credits {
        Credits::new(self.free_work.get().div_ceil(CUTS_A_DAY)).unwrap_or_default()
    }

    /// Returns the minutes whose refunds can block chats in the minute `now`, newest first. There
    /// are only a few such minutes: once the limit is reached, chats can't begin, so only chats
    /// that are already in progress can exceed it.
    pub(super) fn refund_minutes(self, now: u64) -> impl Iterator<Item = u64> {
        let before =
            (self.refunds.saturating_sub(1) + self.parallel_of_account) / self.refunds.max(1);
        (0..=u64::from(before)).map_while(move |back| now.checked_sub(back))
    }

    /// Returns the total limit on refunds over this many minutes.
    pub(super) fn refunds_in(self, minutes: u64) -> u64 {
        minutes.saturating_mul(self.refunds.into())
    }

    /// Returns how many refunds in one minute still block the caller `back` minutes later.
    pub(super) fn refunds_to_wait(self, back: u64) -> u64 {
        self.refunds_in(back).saturating_add(self.refunds_of_caller.into())
    }
}

/// An account's refunds per minute. Each count includes the surplus of earlier minutes.
///
/// A minute with `c` refunds uses up its own limit and the limits of the following minutes, until
/// `c` is covered. All chats in progress may still fail after the limit is reached, but the average
/// number of refunds per minute doesn't exceed the limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Refunds(BTreeMap<u64, u32>);

impl Refunds {
    pub(super) fn of(account: &Account) -> Self {
        let counted = |(key, count): (&String, &u32)| {
            Some((key.strip_prefix(REFUNDS)?.parse().ok()?, *count))
        };
        Self(account.minutes.iter().flatten().filter_map(counted).collect())
    }

    pub(super) fn in_minute(&self, minute: u64) -> Option<u32> {
        self.0.get(&minute).copied()
    }

    /// Returns the surplus of the minutes before `minute`: how many refunds exceed those minutes'
    /// limits.
    pub(super) fn surplus_before(&self, minute: u64, limits: ChatLimits) -> u64 {
        let over = |(of, count): (&u64, &u32)| {
            u64::from(*count).saturating_sub(limits.refunds_in(minute - of))
        };
        self.0.range(..minute).map(over).max().unwrap_or(0)
    }

    /// Returns the first minute, from `now` on, in which the caller may begin a chat.
    pub(super) fn open_from(&self, now: u64, limits: ChatLimits) -> u64 {
        let relevant = limits.refund_minutes(now).filter_map(|minute| {
            let over = self.in_minute(minute)?.checked_sub(limits.refunds_of_caller)?;
            Some(minute + 1 + u64::from(over) / u64::from(limits.refunds.max(1)))
        });
        relevant.max().unwrap_or(now).max(now)
    }

    /// Returns the keys of past minutes that no longer count at `now`.
    pub(super) fn expired_keys(
        &self,
        now: u64,
        limits: ChatLimits,
    ) -> impl Iterator<Item = String> {
        let is_over =
            move |(of, count): &(&u64, &u32)| u64::from(**count) <= limits.refunds_in(now - **of);
        self.0.range(..now).filter(is_over).map(|(minute, _)| refunds_key(*minute))
    }
}

/// The prefix of the keys that count refunds per minute in the account's map of minutes.
const REFUNDS: &str = "r";

/// The prefix of the keys under which earlier releases counted refunds per day, in the account's
/// map of minutes.
const REFUNDS_OF_DAY: &str = "d";

/// The prefix of the keys that count the free work of API keys with a limit.
const OF_LIMITED_KEYS: &str = "k";

/// The prefix of the keys that count the account's earned free work.
const EARNED: &str = "e";

/// The prefix of the keys that count the account's underheld credits.
const UNDERHELD: &str = "h";

pub(super) fn refunds_key(minute: u64) -> String {
    format!("{REFUNDS}{minute}")
}

/// An account's free work on a day, for one kind of caller: API keys with a limit, or all other
/// callers.
///
/// The account's `free_work` map contains two counts for each day: one for API keys with a limit,
/// and one for all other callers. A limited key therefore can't use up the owner's free work. Work
/// for limited keys counts double, because these keys may use only half of the limit.
///
/// The map also contains the free work that the account has [earned](Earning). The free work that a
/// charge earns is added both to that day's total and to the next day's, so each total contains the
/// earnings of two days. The reserve compares this total with the caller's count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeWork {
    day: u64,
    is_limited: bool,
}

impl FreeWork {
    /// Returns the free work on the day that contains the Unix time `now`: the free work for API
    /// keys with a limit if `is_limited` is true, and otherwise the free work for all other
    /// callers.
    pub fn at(now: u64, is_limited: bool) -> Self {
        Self { day: day(now), is_limited }
    }

    /// Returns the key of the caller's count.
    pub(super) fn key(self) -> String {
        let prefix = if self.is_limited { OF_LIMITED_KEYS } else { "" };
        format!("{prefix}{}", self.day)
    }

    /// Returns the key of the free work that the account has earned on this day and the day before.
    pub(super) fn earned_key(self) -> String {
        format!("{EARNED}{}", self.day)
    }

    /// Returns the keys of the two days on which a charge counts.
    pub(super) fn earning_keys(self) -> [String; 2] {
        [self, Self { day: self.day + 1, ..self }].map(Self::earned_key)
    }

    /// Returns the amount that this work adds to the caller's count.
    pub(super) fn counted(self, credits: Credits) -> Credits {
        credits.times(if self.is_limited { 2 } else { 1 })
    }

    /// Returns the caller's count.
    pub(super) fn used(self, account: &Account) -> Credits {
        account.free_work(&self.key())
    }

    /// Returns the caller's free work and its limit, as shown to people.
    pub fn shown(self, account: &Account, free_work: Credits) -> [Credits; 2] {
        let both = [self.used(account), self.most(account, free_work)];
        // Work for limited keys counts double.
        both.map(|credits| credits.part_of(if self.is_limited { 2 } else { 1 }))
    }

    /// Returns the count at which the caller has to wait until the next day.
    pub(super) fn most(self, account: &Account, free_work: Credits) -> Credits {
        account.free_work(&self.earned_key()).max(free_work)
    }
}

/// Returns the account's underheld credits in the month of the Unix time `now`.
pub fn underheld(account: &Account, now: u64) -> Credits {
    account.free_work(&underheld_key(now))
}

/// Returns the key, in the account's map of free work, of its underheld credits in the month of the
/// Unix time `now`: the parts of answers' prices that exceeded their holds. All callers share the
/// count. The key contains the month's last day, so that every release removes it later.
pub(super) fn underheld_key(now: u64) -> String {
    let last_day = Day::from_millis(now * 1000).next_month().before(1);
    format!("{UNDERHELD}{}", last_day.number())
}

/// The free work that an account earns with a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Earning {
    /// The part of the charge that is earned.
    pub(super) part: Credits,
    /// The value to which the part is added if the map doesn't contain an entry for the day yet.
    pub(super) before: Credits,
}

impl Earning {
    /// Returns the free work that the account earns with a charge. Returns `None` until a quarter
    /// of the account's charges exceeds the `FREE_WORK` setting, which keeps the items of most
    /// accounts small. The first charge beyond this amount also earns the free work for all earlier
    /// charges.
    ///
    /// `spent` and `held` are the account's spent and held credits when the chat began. The held
    /// credits count, because other chats may be settled before this one.
    pub(super) fn by(
        charge: Credits,
        spent: Credits,
        held: Credits,
        limits: ChatLimits,
    ) -> Option<Self> {
        let enough = limits.free_work.times(EARNS_ONE_OF);
        let before = match spent <= enough {
            true => spent.part_of(EARNS_ONE_OF),
            false => Credits::ZERO,
        };
        let earning = Self { part: charge.part_of(EARNS_ONE_OF), before };
        let is_counted = spent.checked_add(held).is_none_or(|after| after > enough);
        Some(earning).filter(|_| is_counted)
    }
}

/// Returns the keys in the account's map of free work that no longer count on this day.
pub(super) fn free_work_over(account: &Account, day: u64) -> impl Iterator<Item = String> {
    let is_over = move |key: &&String| {
        let of = key.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
        of.parse::<u64>().is_ok_and(|of| of < day)
    };
    account.free_work.iter().flat_map(BTreeMap::keys).filter(is_over).cloned()
}

/// Returns half of a limit, but at least 1.
fn half(limit: u32) -> u32 {
    (limit / 2).max(1)
}

/// Returns the day of the Unix time `now`, in days since 1970.
pub(super) fn day(now: u64) -> u64 {
    now / DAY
}

/// Returns the keys under which earlier releases counted the refunds of past days.
pub(super) fn days_over(account: &Account, day: u64) -> impl Iterator<Item = String> {
    let keys = account.minutes.iter().flat_map(BTreeMap::keys);
    let is_over = move |key: &&String| {
        let of = key.strip_prefix(REFUNDS_OF_DAY).and_then(|of| of.parse::<u64>().ok());
        of.is_some_and(|of| of < day)
    };
    keys.filter(is_over).cloned()
}

/// Returns the minute of the Unix time `now`, in minutes since 1970.
pub(super) fn minute(now: u64) -> u64 {
    now / MINUTE
}

pub(super) fn chats_a_minute(limits: ChatLimits, begun: u32, now: u64) -> Limit {
    let most = limits.per_minute;
    Limit {
        name: "chats",
        most,
        window: Some(MINUTE),
        left: most.saturating_sub(begun),
        reset: MINUTE - now % MINUTE,
    }
}

pub(super) fn refunds_a_minute(limits: ChatLimits, open_from: u64, now: u64) -> Limit {
    let reset = (open_from * MINUTE).saturating_sub(now).max(1);
    Limit { name: "refunds", most: limits.refunds_of_caller, window: Some(MINUTE), left: 0, reset }
}

pub(super) fn free_work_a_day(most: Credits, now: u64) -> Limit {
    let (most, reset) = (u32::try_from(most.get()).unwrap_or(u32::MAX), DAY - now % DAY);
    Limit { name: "free-work", most, window: Some(DAY), left: 0, reset }
}
