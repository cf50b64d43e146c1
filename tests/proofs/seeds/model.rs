//! The model of an account: the rules that hold after every write, and the changes that the
//! protocol allows.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use dynoxide::{AttributeValue, Item};
use serde_json::Value;
use shared::clock::month;

use super::tables::Tables;

/// Returns a numeric attribute. 0 if it is missing.
fn number(item: &Item, name: &str) -> i64 {
    match item.get(name) {
        Some(AttributeValue::N(number)) => number.parse().unwrap(),
        _ => 0,
    }
}

fn text(item: &Item, name: &str) -> String {
    match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    }
}

fn flag(item: &Item, name: &str) -> bool {
    matches!(item.get(name), Some(AttributeValue::BOOL(true)))
}

fn map(item: &Item, name: &str) -> Item {
    match item.get(name) {
        Some(AttributeValue::M(map)) => map.clone(),
        _ => Item::new(),
    }
}

/// Returns an attribute as plain JSON.
fn plain(attribute: &AttributeValue) -> Value {
    match attribute {
        AttributeValue::N(number) => number.parse::<i64>().unwrap().into(),
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::BOOL(flag) => (*flag).into(),
        AttributeValue::M(map) => {
            map.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        AttributeValue::L(list) => list.iter().map(plain).collect(),
        _ => Value::Null,
    }
}

/// Selects the counts whose keys consist of `letter` and a number, and returns these counts by the
/// number.
fn with_prefix(counted: &[(String, i64)], letter: char) -> BTreeMap<u64, i64> {
    let of =
        |(key, count): &(String, i64)| Some((key.strip_prefix(letter)?.parse().unwrap(), *count));
    counted.iter().filter_map(of).collect()
}

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
    /// The number of chats that began in each minute.
    pub minutes: BTreeMap<String, i64>,
    /// The number of chats that were refunded in each minute, plus the refunds above the limits of
    /// earlier minutes.
    pub refunds: BTreeMap<u64, i64>,
    /// The free work of each day: of limited API keys with the prefix `k`, and what the account has
    /// earned with the prefix `e`.
    pub free_work: BTreeMap<String, i64>,
    /// True if the account is in the index `due`.
    pub due: bool,
    /// The credits that each API key with a limit has spent or holds, by key and period.
    pub purses: BTreeMap<String, i64>,
    /// The first day of the period for which the account has got its allowance last.
    pub allowance: i64,
}

impl Account {
    fn read(tables: &Tables, pk: &str) -> Self {
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

    /// Returns the credits that the account has, with those that are held.
    pub fn owned(&self) -> i64 {
        self.granted - self.spent
    }

    /// The number of chats that began in the minute of the second `at`.
    pub fn chats_in_minute_of(&self, at: u64) -> i64 {
        self.minutes.get(&(at / 60).to_string()).copied().unwrap_or(0)
    }

    /// Returns true if the caller may begin no chat in `minute`, because too many chats were refunded
    /// in this minute or earlier minutes.
    pub fn is_closed_by_refunds(&self, minute: u64, limits: &Limits) -> bool {
        self.refunds.range(..=minute).any(|(of, count)| {
            let before = limits.refunds * i64::try_from(minute - of).unwrap();
            *count >= before + limits.refunds_of_caller
        })
    }

    /// Returns true if the caller may begin no chat on the day of the second `at`, because the free
    /// work of this day is used up.
    pub fn is_closed_by_free_work(&self, at: u64, limits: &Limits) -> bool {
        let count = |key: String| self.free_work.get(&key).copied().unwrap_or(0);
        let prefix = if limits.is_limited { "k" } else { "" };
        let day = at / 86_400;
        count(format!("{prefix}{day}")) >= limits.free_work.max(count(format!("e{day}")))
    }

    /// The number of refunds by which earlier minutes exceed their limits.
    fn carried_to(&self, minute: u64, limit: i64) -> i64 {
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
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub amount: i64,
    pub kind: String,
    /// The source of granted credits, or an empty text.
    source: String,
    /// The first day of the period of an allowance. 0 if the row is no allowance.
    allowance: i64,
    /// The API key of a chat, or an empty text.
    key: String,
    month: String,
}

/// A user with an account, and the changes of the account that the model has seen.
pub struct Person {
    pub name: &'static str,
    pub pk: String,
    pub id: String,
    /// True if the account has instructions for the AI.
    pub instructed: bool,
    /// The limit of the person's API keys.
    pub limit: i64,
    /// The credits up to which the balance is filled in each period.
    pub filled_to: i64,
    pub account: Account,
    pub ledger: BTreeMap<String, Row>,
    /// How often credits were reserved for each chat, and how often they were returned.
    taken: HashMap<String, u32>,
    returned: HashMap<String, u32>,
    /// The ids of the chats that were stopped while they had a hold.
    stopped: HashSet<String>,
    /// The credits that each paid chat held.
    held_for: HashMap<String, i64>,
    /// What the account had spent when each chat took its credits.
    spent_at: HashMap<String, i64>,
}

/// The facts that the model knows about the task that sent a write.
pub struct Writer<'w> {
    /// The id of the chat for which the task holds credits.
    pub owner: Option<&'w str>,
    /// The second at which the task first sent its settle.
    pub settled_at: Option<u64>,
    /// The minute in which the write counts a new chat. `None` if the write counts no new chat.
    pub reserves_in: Option<u64>,
    /// The minute in which the write counts a refund. `None` if the write counts no refund.
    pub releases_in: Option<u64>,
    /// The key under which the write counts free work, and how much it counts. `None` if the write
    /// counts no free work.
    pub free_work: Option<(String, i64)>,
    /// What the write adds to the earned credits of two days, and what it adds this to if there is
    /// nothing yet. `None` if it adds nothing.
    pub earns: Option<(i64, i64)>,
    /// The amounts that the task may hold for its chat.
    pub may_hold: RangeInclusive<i64>,
    /// True if the task has told its client that the credits don't pay for the chat, and has closed
    /// the id of its hold before that.
    pub has_refused: bool,
    /// The id of the chat that the write stops.
    pub stops: Option<&'w str>,
    /// The earliest first day of the allowance's period that a chat of this task may have. 0 without
    /// allowances.
    pub period: i64,
}

/// The limits on the chats of a caller.
pub struct Limits {
    /// True if the caller has an API key with a limit.
    pub is_limited: bool,
    /// The number of chats that may wait at a time.
    pub parallel: i64,
    /// The number of chats that may begin in a minute.
    pub chats: i64,
    /// The number of the account's chats that may be refunded in a minute.
    pub refunds: i64,
    /// The part of `refunds` that the caller may use up.
    pub refunds_of_caller: i64,
    /// The credits of free work on a day for an account that has earned nothing.
    pub free_work: i64,
    /// True if no request arrives later than the protocol expects. While requests arrive in time,
    /// the product counts every refund above a minute's limit in a later minute.
    pub exact: bool,
}

impl Person {
    pub fn new(name: &'static str, pk: String, id: String, tables: &Tables) -> Self {
        let account = Account::read(tables, &pk);
        let instructed =
            tables.item("UsersTable", &[("pk", &pk)]).unwrap().contains_key("instructions");
        let mut person = Self {
            name,
            pk,
            id,
            instructed,
            limit: 0,
            filled_to: 0,
            account,
            ledger: BTreeMap::new(),
            taken: HashMap::new(),
            returned: HashMap::new(),
            stopped: HashSet::new(),
            held_for: HashMap::new(),
            spent_at: HashMap::new(),
        };
        person.ledger = person.read_ledger(tables);
        person
    }

    /// Checks the account's state after a write, and the change that led to it. Returns the ids of
    /// the chats that the write paid.
    pub fn observe(
        &mut self,
        tables: &Tables,
        writer: &Writer<'_>,
        now: u64,
        limits: &Limits,
    ) -> Result<Vec<String>, String> {
        let (before, rows_before) = (self.account.clone(), self.ledger.clone());
        let after = Account::read(tables, &self.pk);
        if after == before {
            return Ok(Vec::new());
        }
        // A chat can be free.
        let is_granted = after.granted != before.granted;
        if after.spent != before.spent || after.held.len() < before.held.len() || is_granted {
            self.ledger = self.read_ledger(tables);
        }
        self.account = after.clone();
        let name = self.name;

        // Checks the state.
        if after.tokens < 0 {
            return Err(format!("{name}'s balance is negative: {after:?}"));
        }
        let held: i64 = after.held.values().map(|held| held.cost).sum();
        if after.granted != after.tokens + held + after.spent {
            return Err(format!("{name}: granted is not tokens + reservations + spent: {after:?}"));
        }
        self.matches_its_ledger()?;
        if rows_before.iter().any(|(id, row)| self.ledger.get(id) != Some(row)) {
            return Err(format!("{name}: a row of the ledger changed"));
        }

        self.purses_are_right()?;
        let granted = self.grants(&before, &after, &rows_before)?;

        // Checks the change: every added or removed hold is a step of the protocol, and nothing
        // else changed.
        let (mut tokens, mut spent, mut paid) = (before.tokens + granted, before.spent, Vec::new());
        let mut free_work = before.free_work.clone();
        for (rid, came) in
            after.held.iter().filter(|(rid, held)| before.held.get(*rid) != Some(held))
        {
            if let Some(was) = before.held.get(rid) {
                if *came != (Held { stopped: true, ..was.clone() }) {
                    return Err(format!("{name}: a reservation took the place of another"));
                }
                if writer.stops != Some(came.owner.as_str()) {
                    return Err(format!("{name}: a chat was stopped instead of another"));
                }
                self.stopped.insert(came.owner.clone());
                continue;
            }
            if !writer.may_hold.contains(&came.cost) || writer.owner != Some(came.owner.as_str()) {
                return Err(format!("{name}: a reservation without a task: {came:?}"));
            }
            if before.closed.contains(rid) {
                return Err(format!("{name}: a reservation under a closed id: {came:?}"));
            }
            if after.allowance < writer.period {
                return Err(format!("{name}: a reservation before the allowance: {came:?}"));
            }
            if writer.has_refused {
                return Err(format!("{name}: a late reservation of a refused chat: {came:?}"));
            }
            tokens -= came.cost;
            self.spent_at.insert(came.owner.clone(), after.spent);
            *self.taken.entry(came.owner.clone()).or_default() += 1;
        }
        for went in before
            .held
            .iter()
            .filter(|(rid, _)| !after.held.contains_key(*rid))
            .map(|(_, held)| held)
        {
            let own = writer.owner == Some(went.owner.as_str());
            let is_paid =
                self.ledger.contains_key(&went.owner) && !rows_before.contains_key(&went.owner);
            if is_paid {
                if !own {
                    return Err(format!("{name}: a task settled another task's reservation"));
                }
                if writer.settled_at.is_none_or(|at| at >= went.expires_at) {
                    return Err(format!("{name}: a chat was settled after its lease"));
                }
                let charge = -self.ledger[&went.owner].amount;
                if !(0..=went.cost).contains(&charge) {
                    return Err(format!("{name}: {charge} were charged, and {} held", went.cost));
                }
                spent += charge;
                tokens += went.cost - charge;
                // A quarter of the charge counts on two days, once the account's charges are worth more
                // than its free work.
                let (day, enough) = (writer.settled_at.unwrap() / 86_400, 4 * limits.free_work);
                match writer.earns {
                    None if self.spent_at[&went.owner] > enough => {
                        return Err(format!("{name}: a charge of {charge} earns nothing"));
                    }
                    Some((part, earlier)) if part != charge / 4 || earlier > enough / 4 => {
                        return Err(format!("{name}: {charge} earn {part}, and {earlier} before"));
                    }
                    None => {}
                    Some((part, earlier)) => {
                        for day in [day, day + 1] {
                            *free_work.entry(format!("e{day}")).or_insert(earlier) += part;
                        }
                    }
                }
                self.held_for.insert(went.owner.clone(), went.cost);
                paid.push(went.owner.clone());
            } else {
                if after.spent != before.spent && after.tokens == before.tokens {
                    return Err(format!(
                        "{name}: tokens were spent without a new row of the ledger"
                    ));
                }
                if !own && went.expires_at > now {
                    return Err(format!(
                        "{name}: a task released another task's reservation before the end of its lease"
                    ));
                }
                tokens += went.cost;
                *self.returned.entry(went.owner.clone()).or_default() += 1;
            }
            if let Some((key, work)) = writer.free_work.clone().filter(|_| own) {
                if key.starts_with('k') == went.purse.is_empty() {
                    return Err(format!("{name}: free work of another caller is counted"));
                }
                *free_work.entry(key).or_default() += work;
            }
            let [taken, returned] = [&self.taken, &self.returned]
                .map(|counted| counted.get(&went.owner).copied().unwrap_or(0));
            if taken != returned + u32::from(self.ledger.contains_key(&went.owner)) {
                return Err(format!(
                    "{name}: {taken} deductions and {returned} refunds of one chat"
                ));
            }
        }
        // Every new chat is counted once, in one minute. The account drops the count of a minute
        // only when the minute has ended.
        let began = after.held.keys().filter(|rid| !before.held.contains_key(*rid)).count();
        let counted: i64 = after
            .minutes
            .iter()
            .map(|(minute, chats)| chats - before.minutes.get(minute).copied().unwrap_or(0))
            .sum();
        let gone = |minute: &String| !after.minutes.contains_key(minute);
        let too_early = before
            .minutes
            .keys()
            .filter(|minute| gone(minute))
            .any(|minute| minute.parse::<u64>().unwrap() >= now / 60);
        if counted != i64::try_from(began).unwrap()
            || too_early
            || began > 0 && after.minutes.values().any(|chats| *chats > limits.chats)
        {
            return Err(format!("{name}: chats are counted wrongly: {before:?}, then {after:?}"));
        }
        self.refunds_are_counted(&before, &after, writer, now, limits)?;
        // Free work and what is earned count once, with the end of their hold. The account may drop
        // the counts of days that have ended.
        let mut expected = free_work;
        let today = now / 86_400;
        let is_over =
            |key: &str| key.trim_start_matches(['k', 'e']).parse::<u64>().unwrap() < today;
        expected.retain(|key, _| !is_over(key) || after.free_work.contains_key(key));
        if after.free_work != expected {
            return Err(format!(
                "{name}: free work is counted wrongly: {before:?}, then {after:?}"
            ));
        }
        if (after.tokens, after.spent, after.granted) != (tokens, spent, before.granted + granted) {
            return Err(format!(
                "{name}: tokens moved without a reservation: {before:?}, then {after:?}"
            ));
        }
        Ok(paid)
    }

    /// Checks that each purse is what its key has spent and holds in the period, and within the limit.
    fn purses_are_right(&self) -> Result<(), String> {
        for (purse, credits) in &self.account.purses {
            let (key, period) = purse.split_once('#').unwrap();
            let rows = self
                .ledger
                .values()
                .filter(|row| row.key == key && (period == "total" || row.month == period));
            let spent: i64 = rows.map(|row| -row.amount).sum();
            let held = self.account.held.values().filter(|held| held.purse == *purse);
            let held: i64 = held.map(|held| held.cost).sum();
            if *credits != spent + held {
                return Err(format!(
                    "{}: the purse {period} has {credits}, and {spent} were spent and {held} held",
                    self.name
                ));
            }
            if *credits > self.limit {
                return Err(format!("{}: {credits} of {} in a purse", self.name, self.limit));
            }
        }
        Ok(())
    }

    /// Checks the new rows that grant credits, and returns their sum. A source grants once, and an
    /// allowance fills the balance up once in a period.
    fn grants(
        &self,
        before: &Account,
        after: &Account,
        rows_before: &BTreeMap<String, Row>,
    ) -> Result<i64, String> {
        let wrong = |what: &str| Err(format!("{}: {what}: {before:?}, then {after:?}", self.name));
        let new = self.ledger.iter().filter(|(id, _)| !rows_before.contains_key(*id));
        let new: Vec<&Row> =
            new.map(|(_, row)| row).filter(|row| row.kind == "adjustment").collect();
        let due = (self.filled_to - before.owned()).max(0);
        let is_filled = after.allowance != before.allowance;
        let allowances: Vec<_> = new.iter().filter(|row| row.allowance > 0).collect();
        if is_filled && after.allowance < before.allowance {
            return wrong("the period of the allowance went back");
        }
        if is_filled != (allowances.len() == 1) && due > 0 || allowances.len() > 1 {
            return wrong("a period has another number of allowances than one");
        }
        for row in allowances {
            if row.amount != due || row.allowance != after.allowance || !is_filled {
                return wrong("an allowance doesn't fill the balance up");
            }
        }
        for row in new.iter().filter(|row| row.allowance == 0) {
            let is_used = |other: &Row| other.source == row.source;
            if row.source.is_empty() || rows_before.values().any(is_used) {
                return wrong("credits were granted without a source, or twice");
            }
        }
        Ok(new.iter().map(|row| row.amount).sum())
    }

    /// Checks that each refund by a chat's function is counted once, in one minute, and that no
    /// chat begins while too many refunds are counted.
    fn refunds_are_counted(
        &self,
        before: &Account,
        after: &Account,
        writer: &Writer<'_>,
        now: u64,
        limits: &Limits,
    ) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{}: {what}: {before:?}, then {after:?}", self.name));
        if let Some(minute) = writer.reserves_in
            && after.held.len() > before.held.len()
            && (before.is_closed_by_refunds(minute, limits)
                || before.is_closed_by_free_work(minute * 60, limits))
        {
            return wrong("a chat began though too many were refunded");
        }
        let mut expected = before.refunds.clone();
        if let Some(minute) = writer.releases_in {
            let carried = before.carried_to(minute, limits.refunds);
            *expected.entry(minute).or_insert(carried) += 1;
        }
        let lost = |(minute, count): (&u64, &i64)| match after.refunds.get(minute) {
            Some(counted) if limits.exact => counted != count,
            Some(counted) => counted > count,
            None => *count > limits.refunds * (now / 60).saturating_sub(*minute).cast_signed(),
        };
        if expected.iter().any(lost)
            || after.refunds.keys().any(|minute| !expected.contains_key(minute))
        {
            return wrong("refunds are counted wrongly");
        }
        Ok(())
    }

    /// Checks that `granted` and `spent` are the ledger's sums. Each chat has one row.
    pub fn matches_its_ledger(&self) -> Result<(), String> {
        let sum = |chats: bool| {
            self.ledger
                .values()
                .filter(|row| (row.kind == "chat") == chats)
                .map(|row| row.amount)
                .sum::<i64>()
        };
        if (self.account.granted, self.account.spent) == (sum(false), -sum(true)) {
            return Ok(());
        }
        Err(format!(
            "{}: the ledger's sums are {} and {}, not {:?}",
            self.name,
            sum(false),
            -sum(true),
            self.account
        ))
    }

    /// Records that the person has bought credits.
    pub fn buys(&mut self, tables: &Tables, bought: i64) -> Result<(), String> {
        let before = self.account.clone();
        self.account = Account::read(tables, &self.pk);
        self.ledger = self.read_ledger(tables);
        let (tokens, granted) = (before.tokens + bought, before.granted + bought);
        if self.account != (Account { tokens, granted, ..before }) {
            return Err(format!("{}: {bought} tokens were bought: {:?}", self.name, self.account));
        }
        self.matches_its_ledger()
    }

    /// Returns the credits that a paid chat held.
    pub fn held_for(&self, chat_id: &str) -> i64 {
        self.held_for[chat_id]
    }

    /// Returns true if this source has granted credits.
    pub fn was_granted(&self, source: &str) -> bool {
        self.ledger.values().any(|row| row.source == source)
    }

    /// Returns true if the account holds credits for this chat.
    pub fn holds_for(&self, chat_id: &str) -> bool {
        self.account.held.values().any(|held| held.owner == chat_id)
    }

    /// Reads the account and its ledger again, and compares them with the model.
    pub fn audit(&self, tables: &Tables) -> Result<(), String> {
        if Account::read(tables, &self.pk) != self.account
            || self.read_ledger(tables) != self.ledger
        {
            return Err(format!("{}: the store holds what no write was seen to leave", self.name));
        }
        self.matches_its_ledger()
    }

    /// Returns true if a chat was stopped while it had a hold.
    pub fn has_stopped(&self, chat_id: &str) -> bool {
        self.stopped.contains(chat_id)
    }

    /// Returns true if a chat was paid.
    pub fn paid(&self, chat_id: &str) -> bool {
        self.ledger.contains_key(chat_id)
    }

    fn read_ledger(&self, tables: &Tables) -> BTreeMap<String, Row> {
        let rows = tables.ledger(&self.id);
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
}

/// Returns the conversation that contains a chat. `None` if the chat is in no conversation.
pub fn conversation_of(tables: &Tables, user_id: &str, chat_id: &str) -> Option<String> {
    let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", chat_id)])?;
    Some(text(&item, "conversation")).filter(|id| !id.is_empty())
}

/// Returns the id of the chat that a stored chat follows. `None` if the stored chat contains no id
/// of an earlier chat.
pub fn after(tables: &Tables, user_id: &str, chat_id: &str) -> Option<String> {
    let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", chat_id)])?;
    text(&item, "thread").split('#').nth(2).map(str::to_owned)
}

/// Returns true if a conversation exists.
pub fn conversation_exists(tables: &Tables, user_id: &str, id: &str) -> bool {
    let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", &format!("c#{id}"))]);
    item.is_some_and(|item| !item.contains_key("deleted"))
}

/// Returns a stored chat as plain JSON. Null if the chat isn't stored.
pub fn stored_chat(tables: &Tables, user_id: &str, chat_id: &str) -> Value {
    let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", chat_id)]);
    item.map_or(Value::Null, |item| plain(&AttributeValue::M(item)))
}

/// Returns a chat's row of the ledger as plain JSON. Null if there is none.
pub fn stored_row(tables: &Tables, user_id: &str, chat_id: &str) -> Value {
    let item = tables.item("LedgerTable", &[("user_id", user_id), ("entry_id", chat_id)]);
    item.map_or(Value::Null, |item| plain(&AttributeValue::M(item)))
}

/// Returns a stored chat's message, answer, cost and balance.
pub fn chat(tables: &Tables, user_id: &str, chat_id: &str) -> Option<(String, String, i64, i64)> {
    let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", chat_id)])?;
    Some((
        text(&item, "message"),
        text(&item, "response"),
        number(&item, "cost"),
        number(&item, "tokens_left"),
    ))
}

/// Returns why a stored chat's answer ends, as its `finish_reason`.
pub fn end(tables: &Tables, user_id: &str, chat_id: &str) -> Option<&'static str> {
    let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", chat_id)])?;
    Some(match text(&item, "cut").as_str() {
        "" => "stop",
        _ if flag(&item, "stopped") => "stopped",
        _ => "length",
    })
}
