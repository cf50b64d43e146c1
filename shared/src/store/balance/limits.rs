//! Limits on an account's chats: how many may wait for the AI at a time, and how many may begin or
//! be refunded in a minute.

use std::collections::BTreeMap;

use crate::config::{AiConfig, Config};
use crate::values::{Account, Allowances, Limit};

/// The window in which an account's chats are counted, in seconds.
pub(super) const MINUTE: u64 = 60;

/// The longest time for which a function runs, in minutes.
pub(super) const LONGEST: u64 = 15;

/// The window of the daily limit on refunds, in seconds. Each day begins at midnight UTC.
pub(super) const DAY: u64 = 86_400;

/// The limits on an account's chats, and its allowance.
#[derive(Clone, Copy, Debug)]
pub struct ChatLimits {
    /// The number of chats that may wait for the AI at a time.
    pub parallel: u32,
    /// The number of chats that may begin in one minute.
    pub per_minute: u32,
    /// The number of chats that may be refunded in one minute.
    pub refunds: u32,
    /// How much may be refunded in one day for chats on which the AI may have worked, in units of
    /// the price.
    pub refunds_a_day: u32,
    /// The credits up to which balances are filled in each period.
    pub allowances: Allowances,
}

/// The kind of a refund, which depends on whether the chat may have cost the operator money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refund {
    /// The chat was refused before the AI was asked, because the credits can't pay for an answer.
    /// The refund counts towards no limit.
    Uncounted,
    /// The AI wasn't asked, or its failure wasn't caused by the caller. The refund counts towards
    /// the limit per minute.
    OfFailure,
    /// The AI may have worked, and the caller could have caused the refund: the chat was stopped,
    /// refused or too slow, or its answer can't be used. The refund also counts towards the limit
    /// per day.
    OfWork,
}

impl ChatLimits {
    /// Reads the limits from the settings.
    pub fn from_config(config: &Config, ai: &AiConfig) -> Self {
        Self {
            parallel: config.parallel_chats,
            per_minute: config.chats_per_minute,
            refunds: config.refunds_per_minute,
            refunds_a_day: ai.refunds_per_day,
            allowances: config.allowances,
        }
    }

    /// Returns the minutes whose refunds can block chats in the minute `now`, newest first. The
    /// number of these minutes is bounded: no chat begins once the limit is reached, so only the
    /// refunds of chats that are then in progress, at most `parallel`, exceed the limit.
    pub(super) fn refund_minutes(self, now: u64) -> impl Iterator<Item = u64> {
        let before = (self.refunds.saturating_sub(1) + self.parallel) / self.refunds.max(1);
        (0..=u64::from(before)).map_while(move |back| now.checked_sub(back))
    }

    /// Returns the limit of refunds for this number of minutes together.
    pub(super) fn refunds_in(self, minutes: u64) -> u64 {
        minutes.saturating_mul(self.refunds.into())
    }
}

/// An account's refunds per minute. Each count includes the surplus of the minutes before.
///
/// A minute with `c` refunds uses up its own limit and the limits of the following minutes until
/// all `c` are covered. On average no more refunds than the limit happen in a minute, although all
/// chats in progress may still fail after the limit is reached.
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

    /// Returns how many refunds of earlier minutes exceed the limits of those minutes.
    pub(super) fn surplus_before(&self, minute: u64, limits: ChatLimits) -> u64 {
        let over = |(of, count): (&u64, &u32)| {
            u64::from(*count).saturating_sub(limits.refunds_in(minute - of))
        };
        self.0.range(..minute).map(over).max().unwrap_or(0)
    }

    /// Returns the first minute from `now` on in which a chat may begin.
    pub(super) fn open_from(&self, now: u64, limits: ChatLimits) -> u64 {
        let relevant = limits.refund_minutes(now).filter_map(|minute| {
            Some(minute + u64::from(self.in_minute(minute)?) / u64::from(limits.refunds.max(1)))
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

/// The prefix of the keys that count refunds per day in the account's map of minutes. Earlier
/// releases ignore keys with this prefix.
const REFUNDS_OF_DAY: &str = "d";

pub(super) fn refunds_key(minute: u64) -> String {
    format!("{REFUNDS}{minute}")
}

pub(super) fn day_key(day: u64) -> String {
    format!("{REFUNDS_OF_DAY}{day}")
}

/// Returns the day of the second `now`, in days since 1970.
pub(super) fn day(now: u64) -> u64 {
    now / DAY
}

/// Returns the account's refunds on this day, in units of the price, for chats on which the AI may
/// have worked.
pub(super) fn refunds_in_day(account: &Account, day: u64) -> u32 {
    let minutes = account.minutes.as_ref();
    minutes.and_then(|minutes| minutes.get(&day_key(day))).copied().unwrap_or(0)
}

/// Returns the keys of earlier days' refund counts.
pub(super) fn days_over(account: &Account, day: u64) -> impl Iterator<Item = String> {
    let keys = account.minutes.iter().flat_map(BTreeMap::keys);
    let is_over = move |key: &&String| {
        let of = key.strip_prefix(REFUNDS_OF_DAY).and_then(|of| of.parse::<u64>().ok());
        of.is_some_and(|of| of < day)
    };
    keys.filter(is_over).cloned()
}

/// Returns the minute of the second `now`, in minutes since 1970.
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
    Limit { name: "refunds", most: limits.refunds, window: Some(MINUTE), left: 0, reset }
}

pub(super) fn refunds_a_day(limits: ChatLimits, now: u64) -> Limit {
    let reset = DAY - now % DAY;
    Limit { name: "refunds-a-day", most: limits.refunds_a_day, window: Some(DAY), left: 0, reset }
}
