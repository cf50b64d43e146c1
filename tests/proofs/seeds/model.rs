//! The model of an account: the rules that hold after every write, and the steps that the protocol
//! allows.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use shared::clock::Day;
use shared::values;

use super::Checked;
use super::account::{Account, Held, Ledger, Limits, Row, read_ledger};
use super::tables::Tables;

/// A user with an account, and the changes to the account that the model has seen.
pub struct Person {
    pub name: &'static str,
    pub pk: String,
    pub id: String,
    /// True if the account has instructions for the AI.
    pub instructed: bool,
    /// The limit of the person's API keys.
    pub limit: i64,
    /// The balance to which the account is topped up in each period.
    pub filled_to: i64,
    pub account: Account,
    pub ledger: Ledger,
    /// How often credits were reserved for each chat, and how often they were returned.
    taken: HashMap<String, u32>,
    returned: HashMap<String, u32>,
    /// The ids of the chats that were stopped while they had a hold.
    stopped: HashSet<String>,
    /// The credits that each paid chat held.
    held_for: HashMap<String, i64>,
    /// How many credits the account had spent when each chat reserved its credits.
    spent_at: HashMap<String, i64>,
}

/// What the model knows about the task that sent a write.
pub struct Writer<'w> {
    /// The ids of the chats for which the task may have a hold.
    pub owners: &'w [String],
    /// When the task first sent its settle, in seconds.
    pub settled_at: Option<u64>,
    /// The minute in which the write counts a new chat. `None` if the write counts no new chat.
    pub reserves_in: Option<u64>,
    /// The minute in which the write counts a refund. `None` if the write counts no refund.
    pub releases_in: Option<u64>,
    /// The key under which the write counts free work, and how much it counts. `None` if the write
    /// counts no free work.
    pub free_work: Option<(String, i64)>,
    /// The key under which the write counts by how much a price exceeds its hold, and that amount.
    /// `None` if the write counts nothing.
    pub underheld: Option<(String, i64)>,
    /// The key of the count that allows the write to hold an estimated amount. `None` if the amount
    /// isn't an estimate.
    pub estimates: Option<&'w str>,
    /// The credits that the write adds to the earned credits of two days, and the number that it
    /// starts from if a day has none yet. `None` if the write adds nothing.
    pub earns: Option<(i64, i64)>,
    /// The amounts that the task may hold for its chat.
    pub may_hold: RangeInclusive<i64>,
    /// True if the task has closed its hold's id, and has then told its client that the balance is
    /// too low for the chat.
    pub has_refused: bool,
    /// The id of the chat that the write stops.
    pub stops: Option<&'w str>,
    /// The earliest day on which the allowance period of this task's chat may begin. 0 if there are
    /// no allowances.
    pub period: i64,
}

/// A write that changed an account, with the account before and after it.
struct Change<'c> {
    name: &'static str,
    before: &'c Account,
    after: &'c Account,
    rows_before: &'c Ledger,
    writer: &'c Writer<'c>,
    limits: &'c Limits,
    /// When the store applied the write, in seconds.
    now: u64,
}

/// A step of the protocol, which changes one hold.
enum Step<'c> {
    /// Credits are held for a chat, under an id.
    Reserve(&'c str, &'c Held),
    /// A hold changes: its chat is stopped.
    Stop { before: &'c Held, after: &'c Held },
    /// A hold ends, and its chat is paid.
    Settle(&'c Held),
    /// A hold ends, and its credits return to the balance.
    Release(&'c Held),
}

impl Change<'_> {
    /// Returns the steps that lead from the holds before the write to the holds after it. `ledger`
    /// contains the rows after the write.
    fn steps(&self, ledger: &Ledger) -> Vec<Step<'_>> {
        let changed =
            self.after.held.iter().filter_map(|(rid, after)| match self.before.held.get(rid) {
                None => Some(Step::Reserve(rid, after)),
                Some(before) if before != after => Some(Step::Stop { before, after }),
                Some(_) => None,
            });
        let ended = self.before.held.iter().filter(|(rid, _)| !self.after.held.contains_key(*rid));
        let is_paid = |held: &Held| {
            ledger.contains_key(&held.owner) && !self.rows_before.contains_key(&held.owner)
        };
        let ended = ended.map(|(_, held)| match is_paid(held) {
            true => Step::Settle(held),
            false => Step::Release(held),
        });
        changed.chain(ended).collect()
    }

    /// Returns true if the task that sent the write holds credits for this chat.
    fn is_own(&self, held: &Held) -> bool {
        self.writer.owners.contains(&held.owner)
    }

    fn wrong<T>(&self, what: &str) -> Checked<T> {
        Err(format!("{}: {what}: {:?}, then {:?}", self.name, self.before, self.after))
    }

    /// Checks that every new chat is counted once, in one minute, which has at most as many chats as
    /// the caller may begin. The account drops the count of a minute only when the minute has ended.
    fn chats_are_counted(&self) -> Checked {
        let (before, after) = (self.before, self.after);
        let began = after.held.keys().filter(|rid| !before.held.contains_key(*rid)).count();
        let added = |minute, chats: &i64| chats - before.minutes.get(minute).copied().unwrap_or(0);
        let counted: i64 = after.minutes.iter().map(|(minute, chats)| added(minute, chats)).sum();
        // An earlier minute may have more chats: those of callers with a higher limit.
        let too_many = after
            .minutes
            .iter()
            .any(|(minute, chats)| added(minute, chats) > 0 && *chats > self.limits.chats);
        let gone = |minute: &String| !after.minutes.contains_key(minute);
        let too_early = before
            .minutes
            .keys()
            .filter(|minute| gone(minute))
            .any(|minute| minute.parse::<u64>().unwrap() >= self.now / 60);
        if counted != i64::try_from(began).unwrap() || too_early || too_many {
            return self.wrong("chats are counted wrongly");
        }
        Ok(())
    }

    /// Checks that each refund by a chat's function is counted once, in one minute, and that no
    /// chat begins while too many refunds are counted.
    fn refunds_are_counted(&self) -> Checked {
        let Self { before, after, writer, limits, .. } = self;
        let this_minute = self.now / 60;
        if let Some(minute) = writer.reserves_in
            && after.held.len() > before.held.len()
            && (before.is_closed_by_refunds(minute, limits)
                || before.is_closed_by_free_work(minute * 60, limits))
        {
            return self.wrong("a chat began though too many were refunded");
        }
        let mut expected = before.refunds.clone();
        if let Some(minute) = writer.releases_in {
            let carried = before.refunds_carried_to(minute, limits.refunds);
            *expected.entry(minute).or_insert(carried) += 1;
        }
        let lost = |(minute, count): (&u64, &i64)| match after.refunds.get(minute) {
            Some(counted) if limits.exact => counted != count,
            Some(counted) => counted > count,
            None => *count > limits.refunds * this_minute.saturating_sub(*minute).cast_signed(),
        };
        if expected.iter().any(lost)
            || after.refunds.keys().any(|minute| !expected.contains_key(minute))
        {
            return self.wrong("refunds are counted wrongly");
        }
        Ok(())
    }

    /// Checks that free work and earned credits are counted once, when their hold ends. The account
    /// may drop the counts of days that have ended.
    fn free_work_is_counted(&self, mut expected: BTreeMap<String, i64>) -> Checked {
        let today = self.now / 86_400;
        let is_over =
            |key: &str| key.trim_start_matches(['k', 'e', 'h']).parse::<u64>().unwrap() < today;
        expected.retain(|key, _| !is_over(key) || self.after.free_work.contains_key(key));
        if self.after.free_work != expected {
            return self.wrong("free work is counted wrongly");
        }
        Ok(())
    }
}

impl Person {
    pub fn new(
        name: &'static str,
        account: &values::Account,
        limit: i64,
        filled_to: i64,
        tables: &Tables,
    ) -> Self {
        let (pk, id) = (account.pk.clone(), account.id.clone());
        let item = tables.item("UsersTable", &[("pk", &pk)]).unwrap();
        Self {
            name,
            instructed: item.contains_key("instructions"),
            limit,
            filled_to,
            account: Account::read(tables, &pk),
            ledger: read_ledger(tables, &id),
            pk,
            id,
            taken: HashMap::new(),
            returned: HashMap::new(),
            stopped: HashSet::new(),
            held_for: HashMap::new(),
            spent_at: HashMap::new(),
        }
    }

    /// Reads the account after a write. Checks that its state is valid and that steps of the
    /// protocol led to it. Returns the ids of the chats that the write paid.
    pub fn observe(
        &mut self,
        tables: &Tables,
        writer: &Writer<'_>,
        now: u64,
        limits: &Limits,
    ) -> Checked<Vec<String>> {
        let (before, rows_before) = (self.account.clone(), self.ledger.clone());
        let after = Account::read(tables, &self.pk);
        if after == before {
            return Ok(Vec::new());
        }
        // A chat can be free.
        let is_granted = after.granted != before.granted;
        if after.spent != before.spent || after.held.len() < before.held.len() || is_granted {
            self.ledger = read_ledger(tables, &self.id);
        }
        self.account = after.clone();
        let name = self.name;
        let change = Change {
            name,
            before: &before,
            after: &after,
            rows_before: &rows_before,
            writer,
            limits,
            now,
        };

        self.adds_up()?;
        self.matches_its_ledger()?;
        if rows_before.iter().any(|(id, row)| self.ledger.get(id) != Some(row)) {
            return Err(format!("{name}: a row of the ledger changed"));
        }
        self.purses_are_right()?;

        let granted = self.grants(&change)?;
        let mut expected = before.clone();
        expected.granted += granted;
        expected.tokens += granted;
        let mut paid = Vec::new();
        for step in change.steps(&self.ledger) {
            self.apply(&step, &change, &mut expected)?;
            if let Step::Settle(held) = step {
                paid.push(held.owner.clone());
            }
        }
        change.chats_are_counted()?;
        change.refunds_are_counted()?;
        change.free_work_is_counted(expected.free_work)?;
        if (after.tokens, after.spent, after.granted)
            != (expected.tokens, expected.spent, expected.granted)
        {
            return change.wrong("tokens moved without a reservation");
        }
        Ok(paid)
    }

    /// Checks that the protocol allows a step, and applies it to `expected`.
    fn apply(&mut self, step: &Step<'_>, change: &Change<'_>, expected: &mut Account) -> Checked {
        match *step {
            Step::Reserve(rid, held) => self.reserves(rid, held, change, expected),
            Step::Stop { before, after } => self.stops(before, after, change),
            Step::Settle(held) => {
                self.settles(held, change, expected)?;
                self.ends(held, change, expected)
            }
            Step::Release(held) => {
                self.releases(held, change, expected)?;
                self.ends(held, change, expected)
            }
        }
    }

    /// A task holds credits for its own chat, under an id that isn't closed, and after its account
    /// has received the allowance.
    fn reserves(
        &mut self,
        rid: &str,
        held: &Held,
        change: &Change<'_>,
        expected: &mut Account,
    ) -> Checked {
        let (name, writer) = (self.name, change.writer);
        if !writer.may_hold.contains(&held.cost) || !change.is_own(held) {
            return Err(format!("{name}: a reservation without a task: {held:?}"));
        }
        if change.before.closed.contains(rid) {
            return Err(format!("{name}: a reservation under a closed id: {held:?}"));
        }
        if let Some(key) = writer.estimates
            && change.before.free_work.get(key).copied().unwrap_or(0) >= change.limits.free_work
        {
            return Err(format!("{name}: an estimate is held, although {key} is used up"));
        }
        if change.after.allowance < writer.period {
            return Err(format!("{name}: a reservation before the allowance: {held:?}"));
        }
        if writer.has_refused {
            return Err(format!("{name}: a late reservation of a refused chat: {held:?}"));
        }
        expected.tokens -= held.cost;
        self.spent_at.insert(held.owner.clone(), change.after.spent);
        *self.taken.entry(held.owner.clone()).or_default() += 1;
        Ok(())
    }

    /// A stop marks the hold of the chat that the client specified, and changes nothing else.
    fn stops(&mut self, before: &Held, after: &Held, change: &Change<'_>) -> Checked {
        let name = self.name;
        if *after != (Held { stopped: true, ..before.clone() }) {
            return Err(format!("{name}: a reservation took the place of another"));
        }
        if change.writer.stops != Some(after.owner.as_str()) {
            return Err(format!("{name}: a chat was stopped instead of another"));
        }
        self.stopped.insert(after.owner.clone());
        Ok(())
    }

    /// A task charges its own chat before the lease ends, and charges at most what was held.
    fn settles(&mut self, held: &Held, change: &Change<'_>, expected: &mut Account) -> Checked {
        let name = self.name;
        if !change.is_own(held) {
            return Err(format!("{name}: a task settled another task's reservation"));
        }
        let Some(at) = change.writer.settled_at.filter(|at| *at < held.expires_at) else {
            return Err(format!("{name}: a chat was settled after its lease"));
        };
        let charge = -self.ledger[&held.owner].amount;
        if !(0..=held.cost).contains(&charge) {
            return Err(format!("{name}: {charge} were charged, and {} held", held.cost));
        }
        expected.spent += charge;
        expected.tokens += held.cost - charge;
        self.earns(held, charge, at / 86_400, change, expected)?;
        if let Some((key, credits)) = change.writer.underheld.clone() {
            let last_day = Day::from_millis(at * 1000).next_month().number() - 1;
            if key != format!("h{last_day}") {
                return Err(format!("{name}: credits are counted as {key} on day {}", at / 86_400));
            }
            *expected.free_work.entry(key).or_default() += credits;
        }
        self.held_for.insert(held.owner.clone(), held.cost);
        Ok(())
    }

    /// Checks the credits that a charge earns: a quarter of the charge, on each of two days, once
    /// the account has spent more than four times its free work.
    fn earns(
        &self,
        held: &Held,
        charge: i64,
        day: u64,
        change: &Change<'_>,
        expected: &mut Account,
    ) -> Checked {
        let (name, enough) = (self.name, 4 * change.limits.free_work);
        match change.writer.earns {
            None if self.spent_at[&held.owner] > enough => {
                Err(format!("{name}: a charge of {charge} earns nothing"))
            }
            None => Ok(()),
            Some((part, earlier)) if part != charge / 4 || earlier > enough / 4 => {
                Err(format!("{name}: {charge} earn {part}, and {earlier} before"))
            }
            Some((part, earlier)) => {
                for day in [day, day + 1] {
                    *expected.free_work.entry(format!("e{day}")).or_insert(earlier) += part;
                }
                Ok(())
            }
        }
    }

    /// A task releases its own hold, or a hold whose lease has ended.
    fn releases(&mut self, held: &Held, change: &Change<'_>, expected: &mut Account) -> Checked {
        let (name, before, after) = (self.name, change.before, change.after);
        if after.spent != before.spent && after.tokens == before.tokens {
            return Err(format!("{name}: tokens were spent without a new row of the ledger"));
        }
        if !change.is_own(held) && held.expires_at > change.now {
            return Err(format!(
                "{name}: a task released another task's reservation before the end of its lease"
            ));
        }
        expected.tokens += held.cost;
        *self.returned.entry(held.owner.clone()).or_default() += 1;
        Ok(())
    }

    /// When a task ends its own hold, it may count free work. A chat's credits are returned or
    /// spent as often as they were reserved.
    fn ends(&self, held: &Held, change: &Change<'_>, expected: &mut Account) -> Checked {
        let name = self.name;
        if let Some((key, work)) = change.writer.free_work.clone().filter(|_| change.is_own(held)) {
            if key.starts_with('k') == held.purse.is_empty() {
                return Err(format!("{name}: free work of another caller is counted"));
            }
            *expected.free_work.entry(key).or_default() += work;
        }
        let [taken, returned] = [&self.taken, &self.returned]
            .map(|counted| counted.get(&held.owner).copied().unwrap_or(0));
        if taken != returned + u32::from(self.ledger.contains_key(&held.owner)) {
            return Err(format!("{name}: {taken} deductions and {returned} refunds of one chat"));
        }
        Ok(())
    }

    /// Checks that the granted credits are in the balance, in holds, or spent.
    fn adds_up(&self) -> Checked {
        let (name, account) = (self.name, &self.account);
        if account.tokens < 0 {
            return Err(format!("{name}'s balance is negative: {account:?}"));
        }
        let held: i64 = account.held.values().map(|held| held.cost).sum();
        if account.granted != account.tokens + held + account.spent {
            return Err(format!(
                "{name}: granted is not tokens + reservations + spent: {account:?}"
            ));
        }
        Ok(())
    }

    /// Checks that each purse equals its key's spending plus its open holds in the period, and
    /// doesn't exceed the limit.
    fn purses_are_right(&self) -> Checked {
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

    /// Checks the new rows that grant credits, and returns their total. A source grants credits
    /// once, and an allowance tops up the balance once per period.
    fn grants(&self, change: &Change<'_>) -> Checked<i64> {
        let Change { before, after, rows_before, .. } = change;
        let new = self.ledger.iter().filter(|(id, _)| !rows_before.contains_key(*id));
        let new: Vec<&Row> =
            new.map(|(_, row)| row).filter(|row| row.kind == "adjustment").collect();
        let due = (self.filled_to - before.owned()).max(0);
        let is_filled = after.allowance != before.allowance;
        let allowances: Vec<_> = new.iter().filter(|row| row.allowance > 0).collect();
        if is_filled && after.allowance < before.allowance {
            return change.wrong("the period of the allowance went back");
        }
        if is_filled != (allowances.len() == 1) && due > 0 || allowances.len() > 1 {
            return change.wrong("a period has another number of allowances than one");
        }
        for row in allowances {
            if row.amount != due || row.allowance != after.allowance || !is_filled {
                return change.wrong("an allowance doesn't fill the balance up");
            }
        }
        for row in new.iter().filter(|row| row.allowance == 0) {
            let is_used = |other: &Row| other.source == row.source;
            if row.source.is_empty() || rows_before.values().any(is_used) {
                return change.wrong("credits were granted without a source, or twice");
            }
        }
        Ok(new.iter().map(|row| row.amount).sum())
    }

    /// Checks that `granted` and `spent` equal the sums in the ledger. Each chat has one row.
    fn matches_its_ledger(&self) -> Checked {
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
    pub fn buys(&mut self, tables: &Tables, bought: i64) -> Checked {
        let before = self.account.clone();
        self.account = Account::read(tables, &self.pk);
        self.ledger = read_ledger(tables, &self.id);
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

    /// Reads the account and its ledger again, and compares them with the model.
    pub fn audit(&self, tables: &Tables) -> Checked {
        if Account::read(tables, &self.pk) != self.account
            || read_ledger(tables, &self.id) != self.ledger
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
}
