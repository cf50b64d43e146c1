//! Relates the store's writes to the model: which task sent a write, and whether each paid chat is
//! stored, kept and priced as its client requested it.

use std::ptr;

use serde_json::{Value, json};
use shared::config::Config;

use super::account::{Account, Limits};
use super::model::Writer;
use super::prices::{Asked, THINKS, THOUGHT};
use super::stored_chat::{StoredChat, conversation_exists, stored_row};
use super::task::{Action, ChatKind, ChatRequest, Task};
use super::wire::{HttpReply, Packet, text_after};
use super::{Checked, LEASE, PRICE, Remembered, Schedule, UNREADABLE, ensure};
use crate::support::world::EMBEDDINGS;

/// How long a call without an idempotency key is recognized, in seconds.
const KNOWN: u64 = 900;

/// For how long after the beginning of a call an equal request counts as its retry, in seconds, if
/// the owner of the API key has chosen that.
pub const EQUAL: u64 = 60;

impl Schedule<'_> {
    /// Applies a request to the store, and checks its effect.
    pub(super) fn apply(&mut self, packet: &Packet) -> Checked<HttpReply> {
        if packet.is_reserve() {
            self.reserves(packet);
        }
        self.tasks[packet.task].sends(packet);
        let reply = self.lane.connection.wire().apply(packet);
        if reply.0 == 400
            && !reply.1.contains("ConditionalCheckFailed")
            && !reply.1.contains("TransactionCanceled")
        {
            return Err(format!("{UNREADABLE} {}: {}", packet.body, reply.1));
        }
        let task = &mut self.tasks[packet.task];
        if packet.is_transaction() && reply.0 == 200 {
            task.has_changed_prices |= matches!(task.action, Action::ChangePrices { .. });
        }
        if packet.body.contains("UsersTable") {
            self.observe(packet, reply.0)?;
        }
        Ok(reply)
    }

    /// Records that a task tries to reserve credits.
    fn reserves(&mut self, packet: &Packet) {
        let task = &mut self.tasks[packet.task];
        let tokens = self.people[self.clients[task.client].person].account.tokens;
        task.was_poor |= tokens < packet.cost();
        let owner = text_after(&packet.body, r#""owner":{"S":""#).unwrap();
        if !task.owners.iter().any(|known| known == owner) {
            task.owners.push(owner.to_owned());
            task.rid = text_after(&packet.body, r##""#rid":""##).map(str::to_owned);
            let lease_ends = text_after(&packet.body, r#""expires_at":{"N":""#).unwrap();
            task.chat_began = lease_ends.parse::<u64>().unwrap() - LEASE;
        }
    }

    /// Compares the accounts that a request refers to with the model, and checks the chats that the
    /// request paid for.
    fn observe(&mut self, packet: &Packet, status: u16) -> Checked {
        let (now, tables) = (self.now(), self.lane.tables());
        let task = &self.tasks[packet.task];
        let repeats = self.repeats(packet, task);
        let writer = writer(packet, task, &self.app.config, self.features.listed, repeats);
        let limits = self.limits_of(task, !self.options.ancient);
        let (mut paid, mut seen) = (Vec::new(), Vec::new());
        for (index, person) in self.people.iter_mut().enumerate() {
            if !packet.body.contains(&person.pk) {
                continue;
            }
            if status == 200 && packet.operation != "GetItem" {
                let chats = person.observe(&tables, &writer, now, &limits)?;
                paid.extend(chats.into_iter().map(|chat_id| (index, chat_id)));
            }
            seen.push(person.account.clone());
        }
        let work = writer.free_work.map(|(_, work)| work);
        let underheld = writer.underheld.map_or(0, |(_, credits)| credits);
        self.tasks[packet.task].seen.extend(seen);
        for (person, chat_id) in paid {
            self.was_paid(person, &chat_id, packet.task, now)?;
            self.is_priced(person, &chat_id, packet.task, work, underheld)?;
        }
        Ok(())
    }

    /// Returns the limits on a task's caller.
    pub(super) fn limits_of(&self, task: &Task, exact: bool) -> Limits {
        let key = task.chat().and_then(|chat| self.clients[task.client].key_for(chat));
        let is_limited = key.is_some_and(|key| key.limit().is_some());
        Limits::of(&self.app.config, is_limited, exact)
    }

    /// Returns true if the write places a hold without credits, because the embeddings that its
    /// task requests were paid for.
    fn repeats(&self, packet: &Packet, task: &Task) -> bool {
        let chat = task.chat().filter(|chat| chat.kind.embeds());
        let is_paid = chat.is_some_and(|chat| self.was_paid_before(task, chat));
        is_paid && packet.is_reserve() && packet.cost() == 0
    }

    /// Returns a task's chat, as requested by its client.
    pub(super) fn asked<'t>(&self, task: &'t Task) -> Option<Asked<'t>> {
        let person = &self.people[self.clients[task.client].person];
        task.chat().map(|chat| Asked { chat, instructed: person.instructed })
    }

    /// Checks a chat that was just paid for: the chat is stored, its idempotency key or its call
    /// pays for no other chat, and no reply said that the chat wouldn't be charged.
    fn was_paid(&mut self, person: usize, chat_id: &str, task: usize, now: u64) -> Checked {
        let task = &self.tasks[task];
        let Action::Chat(chat) = &task.action else {
            return Err("something other than a chat was paid".into());
        };
        match chat.kind.embeds() {
            true => self.is_only_in_the_ledger(person, chat_id)?,
            false => self.is_stored(person, chat_id, task, chat)?,
        }
        if let (Some((status, _)), false) = (task.told, self.options.ancient)
            && status != 200
            && task.code != "unavailable"
        {
            return Err(format!(
                "a client was told {status} {}, and charged after that",
                task.code
            ));
        }
        if chat.kind.counts() {
            // After a day, the idempotency key of a request is no longer found.
            let is_found = now < task.started + 86_400;
            return self.counts_a_call(person, is_found);
        }
        if chat.kind == ChatKind::Equal {
            return self.is_first_in_its_minute(task, chat);
        }
        let Some(key) = chat.key.clone() else { return Ok(()) };
        if self.keys.get(&(person, key.clone())).is_some_and(|before| now < before.until) {
            return Err(format!("{} was charged twice for {key}", self.people[person].name));
        }
        let until = task.chat_began + 86_400;
        let (chat_id, message) = (chat_id.to_owned(), chat.message.clone());
        let remembered = Remembered { chat_id, message, until, body: None };
        self.keys.insert((person, key), remembered);
        Ok(())
    }

    /// Checks that a paid chat is stored as its client requested it.
    fn is_stored(&self, person: usize, chat_id: &str, task: &Task, chat: &ChatRequest) -> Checked {
        let stored = StoredChat::read(&self.lane.tables(), &self.people[person].id, chat_id);
        let stored = stored.ok_or("a chat was paid that isn't stored")?;
        self.is_in_its_conversation(person, chat_id, chat, &stored)?;
        self.is_as_asked(chat, &stored)?;
        let may_end = match stored.end {
            "stopped" => self.people[person].has_stopped(chat_id),
            "length" => !chat.kind.holds() || task.may_time_out(self.now()),
            _ => true,
        };
        match may_end {
            true => Ok(()),
            false => Err(format!("an answer ends with {:?} for no reason", stored.end)),
        }
    }

    /// Checks that paid embeddings have only a ledger row. Without a price list, it has the flat
    /// price.
    fn is_only_in_the_ledger(&self, person: usize, chat_id: &str) -> Checked {
        let (tables, id) = (self.lane.tables(), &self.people[person].id);
        let row = stored_row(&tables, id, chat_id);
        let is_stored = StoredChat::read(&tables, id, chat_id).is_some();
        let has_price = self.features.listed || row["amount"] == -PRICE;
        ensure(
            !is_stored && row["reason"] == EMBEDDINGS && has_price,
            "embeddings were paid, and not recorded as such",
        )
    }

    /// Checks that a paid chat is in its conversation, after the chat that its client specified. A
    /// chat whose conversation was deleted in the meantime is still charged, and is stored outside
    /// of any conversation.
    fn is_in_its_conversation(
        &self,
        person: usize,
        chat_id: &str,
        chat: &ChatRequest,
        stored: &StoredChat,
    ) -> Checked {
        let (tables, id) = (self.lane.tables(), &self.people[person].id);
        let asked_in = chat.conversation.as_deref().unwrap_or(chat_id);
        let kept_in = stored.conversation.as_deref();
        let expected = conversation_exists(&tables, id, asked_in).then_some(asked_in);
        if kept_in != expected {
            return Err(format!(
                "a chat in {asked_in} is kept in {kept_in:?}, and not in {expected:?}"
            ));
        }
        let (after, follows) = (chat.after.as_deref(), stored.follows.as_deref());
        let may_follow = match (kept_in, after, follows) {
            (None, _, follows) => follows.is_none(),
            (Some(_), Some(asked), Some(follows)) => asked == follows,
            // A chat that follows the newest chat of the main line doesn't store that chat's id.
            (Some(_), Some(asked), None) => {
                StoredChat::read(&tables, id, asked).is_none_or(|asked| asked.follows.is_none())
            }
            (Some(_), None, Some(follows)) => StoredChat::read(&tables, id, follows).is_some(),
            (Some(_), None, None) => true,
        };
        if !may_follow {
            return Err(format!("a chat after {after:?} is kept after {follows:?}"));
        }
        Ok(())
    }

    /// Checks that a paid chat is stored with its message, its reasoning, its answer, and the flat
    /// price.
    fn is_as_asked(&self, chat: &ChatRequest, stored: &StoredChat) -> Checked {
        let answer = stored.answer.as_str();
        let (thought, said) = match chat.message.strip_prefix(THINKS) {
            Some(words) => (THOUGHT, words.to_owned()),
            None => ("", format!("You said: {}", chat.message)),
        };
        let may_answer = match chat.message.strip_prefix("!hold ") {
            Some(words) if stored.end != "stop" => {
                words.strip_suffix(" hi").unwrap_or_default() == answer
            }
            Some(words) if words == answer => true,
            _ => answer == said,
        };
        let has_price = self.features.listed || stored.cost == PRICE;
        ensure(
            stored.message == chat.message
                && stored.thought() == thought
                && may_answer
                && has_price,
            "a chat was paid that isn't stored as it was asked and answered",
        )
    }

    /// Checks that a person's clients that count their retries have paid for each call at most
    /// once.
    fn counts_a_call(&mut self, person: usize, is_found: bool) -> Checked {
        self.calls_paid[person] += usize::from(is_found);
        let (paid, calls) = (self.calls_paid[person], self.calls_of(person));
        if paid > calls {
            let name = self.people[person].name;
            return Err(format!("{name} was charged {paid} times for {calls} calls"));
        }
        Ok(())
    }

    /// Checks that an API key that takes equal requests for retries has paid for no other chat that
    /// was requested less than a minute before or after this one.
    fn is_first_in_its_minute(&self, task: &Task, chat: &ChatRequest) -> Checked {
        let began = self.call_began(task).ok_or("a chat of no call was paid")?;
        let is_near = |other: &Task| {
            self.call_began(other).is_some_and(|other| other.abs_diff(began) < EQUAL)
        };
        let mut others = self.same_key_tasks(task, chat).filter(|other| !ptr::eq(*other, task));
        ensure(
            !others.any(|other| self.has_paid(other) && is_near(other)),
            "an API key was charged for two equal requests within a minute",
        )
    }

    /// Returns when the request arrived that began a task's call, in seconds. `None` if the task
    /// hasn't tried to reserve credits, or no call has its hold's id.
    pub(super) fn call_began(&self, task: &Task) -> Option<u64> {
        let rid = task.rid.as_ref()?;
        let mut calls = self.tasks.iter().filter_map(|task| task.call.as_ref());
        calls.find(|(key, _)| key == rid).map(|(_, began)| *began)
    }

    /// Returns the number of calls that a person's retry-counting clients have begun. A retry that
    /// the product no longer recognizes counts as a new call.
    fn calls_of(&self, person: usize) -> usize {
        let mut known_until = 0;
        let mut calls = 0;
        for task in &self.tasks {
            if let Some(chat) = task.chat()
                && chat.kind.counts()
                && self.clients[task.client].person == person
            {
                calls += usize::from(chat.kind == ChatKind::First || task.started >= known_until);
                known_until = task.started + KNOWN;
            }
        }
        calls
    }

    /// Checks the price of a chat that was just paid. A chat that was stopped before its model
    /// tokens were counted adds at least a hundredth of the free work.
    fn is_priced(
        &self,
        person: usize,
        chat_id: &str,
        task: usize,
        work: Option<i64>,
        underheld: i64,
    ) -> Checked {
        if !self.features.listed {
            return match work {
                None => Ok(()),
                Some(work) => Err(format!("{work} of free work for a paid chat")),
            };
        }
        let (task, tables, person) = (&self.tasks[task], self.lane.tables(), &self.people[person]);
        let asked = self.asked(task).unwrap();
        let known = self.instances[task.instance].known(task.started);
        let row = stored_row(&tables, &person.id, chat_id);
        let stored = StoredChat::read(&tables, &person.id, chat_id);
        let chat = stored.map_or_else(|| of_row(&row), |stored| stored.plain());
        let held = person.held_for(chat_id);
        match task.lacks_free_work {
            false => asked.is_priced(&known, &chat, &row, held, underheld)?,
            // Without the map, nothing can be counted.
            true => ensure(underheld == 0, "credits are counted without a map")?,
        }
        let is_closed = chat["stopped"] == true || chat["cut"] == "length";
        let is_uncounted = is_closed
            && chat["usage"]["estimated"] == true
            && chat["receipt"]["fare"]["input"].is_i64()
            && chat["receipt"]["whole"] != true;
        let expected = self.app.config.free_work.signed().cast_unsigned().div_ceil(100);
        let is_counted = is_uncounted && !task.lacks_free_work;
        let is_right = match work {
            Some(work) if is_counted => {
                asked.uncounted(&chat, expected.cast_signed()).contains(&work)
            }
            work => work.is_some() == is_counted,
        };
        if !is_right {
            return Err(format!("{chat} counts as {work:?} of free work"));
        }
        if asked.chat.kind.embeds() {
            return Ok(());
        }
        // The function saw the account as it was when the credits were reserved.
        let back = held - chat["cost"].as_i64().unwrap();
        let left = |account: &Account| account.balance(task.chat_began) + back;
        let told = &chat["tokens_left"];
        let mut seen = task.seen.iter().filter(|account| account.holds_for(chat_id));
        if seen.any(|account| *told == left(account)) {
            return Ok(());
        }
        Err(format!("no balance was {told} after {chat}"))
    }
}

/// Returns the contents of the ledger row of embeddings in the form of a chat.
fn of_row(row: &Value) -> Value {
    let mut chat = row.clone();
    chat["cost"] = json!(-row["amount"].as_i64().unwrap());
    chat
}

/// Returns what the model knows about the task that sent a write. `repeats` is true if the write
/// places a hold without credits for embeddings that were paid for.
fn writer<'w>(
    packet: &'w Packet,
    task: &'w Task,
    config: &Config,
    listed: bool,
    repeats: bool,
) -> Writer<'w> {
    let text = |mark: &str| text_after(&packet.body, mark);
    let minute = |mark: &str| text(mark).and_then(|number| number.parse().ok());
    let amount = |mark: &str| -> Option<i64> { text(mark).map(|number| number.parse().unwrap()) };
    Writer {
        free_work: packet.free_work(),
        underheld: text(r##""#underheld":""##)
            .map(str::to_owned)
            .zip(amount(r#"":underheld":{"N":""#)),
        estimates: text(r##""#underheld":""##).filter(|_| packet.is_reserve()),
        earns: amount(r#"":earned":{"N":""#).zip(amount(r#"":before":{"N":""#)),
        owners: &task.owners,
        settled_at: task.settled_at,
        reserves_in: minute(r##""#minute":""##),
        releases_in: minute(r##""#refunds":"r"##),
        stops: packet.body.contains("stopped = :true").then(|| packet.owner()),
        period: match config.allowances.users {
            Some(_) if packet.is_reserve() => amount(r#"":allowance":{"N":""#).unwrap_or(i64::MAX),
            _ => 0,
        },
        may_hold: match task.chat() {
            _ if repeats => 0..=0,
            // Only messages can be free.
            Some(chat) if listed && chat.kind.embeds() => 1..=i64::MAX,
            Some(chat) if listed => 0..=chat.max_cost.unwrap_or(i64::MAX),
            _ => PRICE..=PRICE,
        },
        has_refused: task.has_refused,
    }
}
