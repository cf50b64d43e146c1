//! Accounts and their ledgers as they are stored, and the limits on a caller's chats.

use std::collections::{BTreeMap, BTreeSet};

use dynoxide::AttributeValue;
use shared::clock::month;
use shared::config::Config;

use super::tables::{Tables, flag, map, number, text};

/// The credits held for a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub cost: i64,
    pub owner: String,
    pub expires_at: u64,
    /// True if the user has stopped the chat.
    pub stopped: bool,
    /// The purse that counts the hold. Empty if the chat's credential has no limit.
    pub purse: String,
}

/// An account as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    pub tokens: i64,
    pub granted: i64,
    pub spent: i64,
    pub held: BTreeMap<String, Held>,
    pub closed: BTreeSet<String>,
    /// How many chats began in each minute.
    pub minutes: BTreeMap<String, i64>,
    /// How many chats were refunded in each minute, plus the refunds above the limits of earlier
    /// minutes.
    pub refunds: BTreeMap<u64, i64>,
    /// The free work of each day. In the keys, the prefix `k` marks the free work of limited API
    /// keys, and `e` marks earned credits.
    pub free_work: BTreeMap<String, i64>,
    /// True if the account is in the `due` index.
    pub due: bool,
    /// The credits that each API key with a limit has spent or holds, by key and period.
    pub purses: BTreeMap<String, i64>,
    /// The first day of the period for which the account received its latest allowance.
    pub allowance: i64,
}

impl Account {
    pub fn read(tables: &Tables, pk: &str) -> Self {
        let item = tables.item("UsersTable", &[("pk", pk)]).unwrap();
        let held = map(&item, "reservations").into_iter().map(|(rid, held)| {
            let AttributeValue::M(held) = held else { panic!("a reservation is a map") };
            let held = Held {
                cost: number(&held, "cost"),
                owner: text(&held, "owner"),
                expires_at: number(&held, "expires_at").unsigned_abs(),
                stopped: flag(&held, "stopped"),
                purse: text(&held, "purse"),
            };
            (rid, held)
        });
        let purses = map(&item, "purses");
        let purses = purses.keys().map(|purse| (purse.clone(), number(&purses, purse))).collect();
        let free_work = map(&item, "free_work");
        let minutes = map(&item, "minutes");
        let counted: Vec<_> =
            minutes.keys().map(|minute| (minute.clone(), number(&minutes, minute))).collect();
        Self {
            held: held.collect(),
            closed: map(&item, "closed").into_keys().collect(),
            minutes: counted
                .iter()
                .filter(|(minute, _)| !minute.starts_with('r'))
                .cloned()
                .collect(),
            refunds: with_prefix(&counted, 'r'),
            free_work: free_work.keys().map(|day| (day.clone(), number(&free_work, day))).collect(),
            tokens: number(&item, "tokens"),
            granted: number(&item, "granted"),
            spent: number(&item, "spent"),
            due: item.contains_key("due"),
            purses,
            allowance: number(&item, "allowance"),
        }
    }

    /// Returns the account's credits, including the held ones.
    pub fn owned(&self) -> i64 {
        self.granted - self.spent
    }

    /// How many chats began in the minute that contains `at`, a time in seconds.
    pub fn chats_in_minute_of(&self, at: u64) -> i64 {
        self.minutes.get(&(at / 60).to_string()).copied().unwrap_or(0)
    }

    /// Returns true if so many chats were refunded in `minute` and earlier minutes that the caller
    /// can't begin another one in `minute`.
    pub fn is_closed_by_refunds(&self, minute: u64, limits: &Limits) -> bool {
        self.refunds.range(..=minute).any(|(of, count)| {
            let before = limits.refunds * i64::try_from(minute - of).unwrap();
            *count >= before + limits.refunds_of_caller
        })
    }

    /// Returns true if the free work of the day that contains `at`, a time in seconds, is used up,
    /// so that the caller can't begin a chat on this day.
    pub fn is_closed_by_free_work(&self, at: u64, limits: &Limits) -> bool {
        let count = |key: String| self.free_work.get(&key).copied().unwrap_or(0);
        let prefix = if limits.is_limited { "k" } else { "" };
        let day = at / 86_400;
        count(format!("{prefix}{day}")) >= limits.free_work.max(count(format!("e{day}")))
    }

    /// By how many refunds, in total, earlier minutes exceed their limits.
    pub fn refunds_carried_to(&self, minute: u64, limit: i64) -> i64 {
        let over = self
            .refunds
            .range(..minute)
            .map(|(of, count)| count - limit * i64::try_from(minute - of).unwrap());
        over.max().unwrap_or(0).max(0)
    }

    /// Returns the credits that can be spent at `now`.
    pub fn balance(&self, now: u64) -> i64 {
        self.tokens
            + self
                .held
                .values()
                .filter(|held| held.expires_at <= now)
                .map(|held| held.cost)
                .sum::<i64>()
    }

    /// Returns true if the account holds credits for this chat.
    pub fn holds_for(&self, chat_id: &str) -> bool {
        self.held.values().any(|held| held.owner == chat_id)
    }
}

/// Selects the counts whose keys consist of `letter` and a number, and returns them by number.
fn with_prefix(counted: &[(String, i64)], letter: char) -> BTreeMap<u64, i64> {
    let of =
        |(key, count): &(String, i64)| Some((key.strip_prefix(letter)?.parse().unwrap(), *count));
    counted.iter().filter_map(of).collect()
}

/// The limits on a caller's chats.
pub struct Limits {
    /// True if the caller has an API key with a limit.
    pub is_limited: bool,
    /// How many chats may wait at a time.
    pub parallel: i64,
    /// How many chats may begin per minute.
    pub chats: i64,
    /// How many of the account's chats may be refunded per minute.
    pub refunds: i64,
    /// The part of `refunds` that the caller may use up.
    pub refunds_of_caller: i64,
    /// How much free work an account that has earned nothing may use per day, in credits.
    pub free_work: i64,
    /// True if no request arrives later than the protocol expects. As long as requests arrive in
    /// time, the product counts refunds that exceed one minute's limit in a later minute.
    pub exact: bool,
}

impl Limits {
    /// Returns the limits of a caller. A caller with a limited API key gets half of them.
    pub fn of(config: &Config, is_limited: bool, exact: bool) -> Self {
        let (parallel, refunds) = (config.parallel_chats, config.refunds_per_minute);
        let share = |whole: u32| if is_limited { (whole / 2).max(1) } else { whole };
        let parallel = if is_limited { parallel.min(refunds) } else { parallel };
        Self {
            is_limited,
            parallel: share(parallel).into(),
            chats: share(config.chats_per_minute).into(),
            refunds: refunds.into(),
            refunds_of_caller: share(refunds).into(),
            free_work: config.free_work.signed(),
            exact,
        }
    }
}

/// A ledger row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub amount: i64,
    pub kind: String,
    /// The source of granted credits, or an empty string.
    pub source: String,
    /// The first day of an allowance's period. 0 if the row isn't an allowance.
    pub allowance: i64,
    /// A chat's API key, or an empty string.
    pub key: String,
    pub month: String,
}

/// A ledger's rows, keyed by id. A chat's row has the chat's id.
pub type Ledger = BTreeMap<String, Row>;

pub fn read_ledger(tables: &Tables, user_id: &str) -> Ledger {
    let rows = tables.ledger(user_id);
    rows.into_iter()
        .map(|row| {
            (
                text(&row, "entry_id"),
                Row {
                    amount: number(&row, "amount"),
                    kind: text(&row, "kind"),
                    source: text(&row, "source"),
                    allowance: number(&row, "allowance"),
                    key: text(&row, "key_id"),
                    month: month(number(&row, "time").unsigned_abs()),
                },
            )
        })
        .collect()
}
