//! Checks that each reply was true.

use std::ptr;

use serde_json::{Value, json};
use shared::http::Body;
use shared::store::{AdjustOutcome, SetPricesOutcome, StoreError, StoredPrices};
use shared::{Error, Reply};

use super::account::Account;
use super::model::Person;
use super::prices::{FAILS, LISTS};
use super::stored_chat::StoredChat;
use super::task::{Action, ChatKind, ChatRequest, Outcome, Task};
use super::writes::EQUAL;
use super::{Checked, Client, PRICE, Schedule, ensure};

/// The commands that make the AI fail. An answer to `!hold` that isn't streamed never ends.
const FAILURES: [&str; 6] = ["!fail", "!empty", "!hang", "!hold", "!cut", FAILS];

/// How often the embeddings of a paid request are computed again.
const REPEATS: usize = 2;

/// A reply as its client reads it. The body of a failure contains the facts that the test checks.
struct ReceivedReply {
    status: u16,
    is_replay: bool,
    code: &'static str,
    body: Value,
}

impl ReceivedReply {
    fn read(reply: Reply) -> Checked<Self> {
        match reply {
            Ok(response) => {
                let is_replay = response.headers().contains_key("idempotent-replayed");
                let Body::Text(text) = response.body() else {
                    return Err("a reply without a text".into());
                };
                let (status, body) = (response.status(), serde_json::from_str(text).unwrap());
                Ok(Self { status: status.as_u16(), is_replay, code: "", body })
            }
            Err(Error::Internal(cause)) => Err(format!("500: {cause}")),
            Err(error) => {
                let body = match &error {
                    Error::InsufficientTokens { cost, by_usage, .. } => {
                        json!({ "cost": cost, "by_usage": by_usage.is_some() })
                    }
                    Error::CostsMore { cost, most, .. } => json!({ "cost": cost, "most": most }),
                    _ => Value::Null,
                };
                let (status, code) = (error.status().as_u16(), error.code());
                Ok(Self { status, is_replay: false, code, body })
            }
        }
    }
}

impl Schedule<'_> {
    /// Checks that an outcome was true.
    pub(super) fn judge(&mut self, id: usize, outcome: Outcome) -> Checked {
        match outcome {
            Outcome::Replied(reply) => {
                let received =
                    ReceivedReply::read(reply).map_err(|violation| format!("{id}: {violation}"))?;
                self.judge_reply(id, &received)
            }
            Outcome::SweepReport(swept) => self.judge_sweep(id, swept),
            Outcome::PricesChanged(outcome) => self.judge_change(id, outcome),
            Outcome::Granted(outcome) => self.judge_grant(id, outcome),
        }
    }

    /// Checks that a reply was true, and records what its client was told.
    fn judge_reply(&mut self, id: usize, received: &ReceivedReply) -> Checked {
        let ReceivedReply { status, is_replay, code, ref body } = *received;
        self.say(format_args!(
            "{id}: is told {status} {code}{}",
            if is_replay { "as before" } else { "" }
        ));
        let task = &mut self.tasks[id];
        task.told = Some((status, is_replay));
        task.code = code.into();
        let task = &self.tasks[id];
        let client = &self.clients[task.client];
        if status == 401 && !client.robbed {
            return Err("a session ended although no token was reused".into());
        }
        if task.after_the_end && status < 300 {
            return Err(format!(
                "{status} for a session that had ended, or a refresh token that was dead"
            ));
        }
        if code == "unavailable" && task.faults == 0 && !task.was_slow() {
            return Err("the store was unavailable without a fault".into());
        }
        match task.action.clone() {
            Action::Chat(chat) => self.judge_chat(id, &chat, body),
            Action::Stop { key, known_until } => self.judge_stop(id, &key, known_until, body),
            Action::Delete { .. } if status == 202 => Ok(()),
            Action::Delete { conversation } if status == 404 => {
                self.judge_missing(id, &conversation)
            }
            Action::Balance if status == 200 => self.judge_balance(id, body),
            Action::Refresh { generation } if status == 200 => {
                let client = task.client;
                self.given(client, generation, body["refresh"].as_str().unwrap_or_default())
            }
            Action::Refresh { .. } if status == 401 => {
                let client = task.client;
                self.clients[client].ended = true;
                Ok(())
            }
            Action::Balance | Action::Delete { .. } | Action::Refresh { .. }
                if status == 401 || status == 503 =>
            {
                Ok(())
            }
            other => Err(format!("{status} to {other:?}")),
        }
    }

    /// Checks that a sweep failed only after a fault.
    fn judge_sweep(&mut self, id: usize, swept: shared::Result<()>) -> Checked {
        let words = if swept.is_ok() { "done" } else { "cut off" };
        self.say(format_args!("{id}: the sweep is {words}"));
        match swept {
            Err(Error::Unavailable(_)) if self.tasks[id].faults > 0 => Ok(()),
            Err(error) => Err(format!("a sweep failed without a fault: {error:?}")),
            Ok(()) => Ok(()),
        }
    }

    /// Checks what an administrator was told about a change of the price list.
    fn judge_change(
        &mut self,
        id: usize,
        outcome: Result<SetPricesOutcome, StoreError>,
    ) -> Checked {
        let task = &self.tasks[id];
        let Action::ChangePrices { list, seen } = &task.action else { unreachable!() };
        let wanted = list.map(|list| LISTS[list].version());
        let version =
            |stored: &Option<StoredPrices>| stored.as_ref().map(|stored| stored.of.version.clone());
        let (words, is_true) = match &outcome {
            Ok(SetPricesOutcome::Set(stored)) => {
                let is_set = task.has_changed_prices || wanted == *seen;
                ("set", version(stored) == wanted && is_set)
            }
            Ok(SetPricesOutcome::Changed) => ("changed meanwhile", !task.has_changed_prices),
            Err(StoreError::Unavailable(_) | StoreError::Throttled(_)) => {
                ("perhaps set", task.faults > 0 || task.was_slow())
            }
            Err(_) => ("not set", false),
        };
        self.say(format_args!("{id}: the price list is {words}"));
        if is_true { Ok(()) } else { Err(format!("{outcome:?} to a new price list")) }
    }

    /// Checks the reply about a grant from a source: the source must have granted credits once.
    fn judge_grant(&mut self, id: usize, outcome: Result<AdjustOutcome, StoreError>) -> Checked {
        let task = &self.tasks[id];
        let Action::Grant { source } = task.action else { unreachable!() };
        let person = self.clients[task.client].person;
        let source = self.grant(person, source).entry().source.clone().unwrap();
        let was_granted = self.people[person].was_granted(source.text());
        let (words, is_true) = match &outcome {
            Ok(AdjustOutcome::Applied) => ("granted", was_granted),
            Ok(AdjustOutcome::SourceUsed) => ("had been granted", was_granted),
            Err(StoreError::Unavailable(_) | StoreError::Throttled(_)) => {
                ("perhaps granted", task.faults > 0 || task.was_slow())
            }
            _ => ("not granted", false),
        };
        self.say(format_args!("{id}: the credits are {words}"));
        if is_true { Ok(()) } else { Err(format!("{outcome:?} to a grant from {source:?}")) }
    }

    /// Checks a reply that says that a conversation doesn't exist. An earlier request must have
    /// deleted the conversation.
    fn judge_missing(&self, id: usize, conversation: &str) -> Checked {
        let deletes = |task: &&Task| match &task.action {
            Action::Delete { conversation: other } => other == conversation,
            _ => false,
        };
        let was_deleted = self.tasks.iter().filter(deletes).count() > 1;
        ensure(
            was_deleted || self.tasks[id].faults > 0,
            "404 for a conversation that no client deleted",
        )
    }

    fn judge_balance(&self, id: usize, body: &Value) -> Checked {
        let told = body["tokens"].as_i64();
        let read = self.tasks[id].seen.last().map(|account| account.balance(self.now()));
        if told == read {
            Ok(())
        } else {
            Err(format!("the balance was {read:?}, and the client was told {told:?}"))
        }
    }

    /// Checks that a refresh token has the same successor for every client and every retry.
    fn given(&mut self, client: usize, generation: usize, successor: &str) -> Checked {
        let Client { refresh: known, taken, .. } = &mut self.clients[client];
        *taken = generation.max(*taken);
        match known.get(generation + 1) {
            Some(known) if known != successor => Err("two successors to one refresh token".into()),
            Some(_) => Ok(()),
            None => {
                known.push(successor.to_owned());
                Ok(())
            }
        }
    }

    /// Checks the reply to a client that stops a chat.
    fn judge_stop(&self, id: usize, key: &str, known_until: u64, body: &Value) -> Checked {
        let (task, now) = (&self.tasks[id], self.now());
        let person = self.person_of(task);
        let is_named = |other: &&Task| {
            let is_keyed = |chat: &ChatRequest| chat.key.as_deref() == Some(key);
            self.is_of_same_person(task, other) && other.chat().is_some_and(is_keyed)
        };
        let named = self.tasks.iter().filter(is_named);
        let chats: Vec<&str> =
            named.flat_map(|other| other.owners.iter().map(String::as_str)).collect();
        let was_held = |owner: &&str| {
            !task.seen.is_empty()
                && task.seen.iter().all(|account| {
                    account.held.values().any(|held| held.owner == *owner && held.expires_at > now)
                })
        };
        let chat_id = body["id"].as_str().unwrap_or_default();
        match (task.told.unwrap().0, body["status"].as_str()) {
            (401 | 503, _) => Ok(()),
            (200, _) if !chats.contains(&chat_id) => Err(format!("{body} to a stop of {key}")),
            (200, Some("stopping")) if person.has_stopped(chat_id) => Ok(()),
            (200, Some("ended")) if person.paid(chat_id) => Ok(()),
            (404, _) if now < known_until => Err("404 for an answer that was paid".into()),
            (404, _) if chats.iter().any(was_held) => {
                Err("404 for an answer that was being written".into())
            }
            (404, _) => Ok(()),
            (status, _) => Err(format!("{status} with {body} to a stop of {key}")),
        }
    }

    fn judge_chat(&mut self, id: usize, chat: &ChatRequest, body: &Value) -> Checked {
        let task = &self.tasks[id];
        let (status, _) = task.told.unwrap();
        if chat.kind.embeds() {
            self.judge_work(task)?;
        }
        if status == 200 && chat.kind.embeds() {
            return self.judge_embeddings(id, chat, body);
        }
        if status == 200 {
            self.judge_answer(task, chat, body)?;
            self.learns(id, body);
            return self.judge_repetition(id, chat, body);
        }
        if self.has_paid(task) && task.code != "unavailable" {
            return Err(format!("{status} {}, but the chat was charged", task.code));
        }
        self.judge_refusal(id, chat, body)
    }

    /// Checks that the client gets the answer to its own request, and that the stored answer is
    /// identical to the one it got.
    fn judge_answer(&self, task: &Task, chat: &ChatRequest, body: &Value) -> Checked {
        let (_, is_replay) = task.told.unwrap();
        let person = self.person_of(task);
        let chat_id = body["id"].as_str().unwrap_or_default();
        ensure(is_replay || task.owner() == Some(chat_id), "a client got another user's answer")?;
        let is_known = chat.key.is_some() || chat.kind.is_call();
        ensure(
            !is_replay || is_known && !self.has_paid(task),
            "a replay, though there was nothing to replay",
        )?;
        ensure(person.paid(chat_id), "200 for a chat that was not charged")?;
        if is_replay && chat.kind == ChatKind::Equal {
            self.is_of_last_minute(task, chat, chat_id)?;
        }
        let stored = StoredChat::read(&self.lane.tables(), &person.id, chat_id);
        let Some(stored) = stored else {
            return Err(format!("200 with {body}, but no chat is stored"));
        };
        let is_told = body["message"].as_str() == Some(stored.message.as_str())
            && body["response"].as_str() == Some(stored.answer.as_str())
            && body["reasoning"].as_str().unwrap_or_default() == stored.thought()
            && body["tokens_deducted"].as_i64() == Some(stored.cost)
            && body["tokens_left"].as_i64() == Some(stored.tokens_left)
            && body["finish_reason"].as_str() == Some(stored.end);
        let is_own = stored.message == chat.message;
        if !is_told || !is_own || self.features.listed && !has_receipt(body, stored.plain()) {
            return Err(format!("200 with {body}, but {} is stored", stored.plain()));
        }
        Ok(())
    }

    /// Checks that a replayed chat was requested with the same API key, and less than a minute
    /// before the task's request arrived.
    fn is_of_last_minute(&self, task: &Task, chat: &ChatRequest, chat_id: &str) -> Checked {
        let (_, came) = *task.call.as_ref().ok_or("a replay without a call")?;
        let mut equal = self.same_key_tasks(task, chat);
        let paid = equal.find(|other| other.owners.iter().any(|owner| owner == chat_id));
        let began = paid.and_then(|paid| self.call_began(paid));
        ensure(
            began.is_some_and(|began| came < began + EQUAL),
            "a replay of a chat that no equal request began in the last minute",
        )
    }

    /// Checks that embeddings were paid for, by this request or by an earlier one, that they are
    /// repeated at most twice, and that equal texts have equal vectors.
    fn judge_embeddings(&mut self, id: usize, chat: &ChatRequest, body: &Value) -> Checked {
        let task = &self.tasks[id];
        let (_, is_repeat) = task.told.unwrap();
        let is_paid = match is_repeat {
            true => !self.has_paid(task) && self.was_paid_before(task, chat),
            false => self.has_paid(task),
        };
        ensure(is_paid, "200 for embeddings that were not charged")?;
        let is_repetition = |other: &Task| {
            other.chat().is_some_and(|chat| chat.kind.embeds()) && other.told == Some((200, true))
        };
        let same_key: Vec<&Task> = self.same_key_tasks(task, chat).collect();
        let paid = same_key.iter().filter(|other| self.has_paid(other)).count();
        let repeated = same_key.iter().filter(|other| is_repetition(other)).count();
        ensure(repeated <= REPEATS * paid, "embeddings were repeated too often")?;
        let first = self.vectors.entry(chat.message.clone()).or_insert_with(|| body.clone());
        ensure(*first == *body, "two replies have different vectors")
    }

    /// Checks the free work that a request for embeddings has counted. A repetition counts the
    /// price. A failure counts either the price or nothing.
    fn judge_work(&self, task: &Task) -> Checked {
        let asked = self.asked(task).unwrap();
        let known = match self.features.listed {
            true => self.instances[task.instance].known(task.started),
            false => vec![None],
        };
        let times = if self.limits_of(task, true).is_limited { 2 } else { 1 };
        let mut prices = known.iter().filter_map(|version| asked.terms(*version));
        let is_right = match (task.free_work, task.told.unwrap()) {
            (None, told) => told != (200, true),
            (Some(_), (200, false)) => false,
            (Some(work), _) => prices.any(|terms| work == times * asked.of_embeddings(terms)),
        };
        ensure(is_right, "the free work of embeddings is counted wrongly")
    }

    /// Records the conversation and the chat that an answer reveals to the client's user.
    fn learns(&mut self, id: usize, body: &Value) {
        let person = self.clients[self.tasks[id].client].person;
        let chat_id = body["id"].as_str().unwrap_or_default();
        let known = &mut self.conversations[person];
        if let Some(conversation) = body["conversation_id"].as_str()
            && !known.iter().any(|(id, _)| id == conversation)
        {
            known.push((conversation.to_owned(), false));
        }
        let first = known[0].0.as_str();
        let messages = &mut self.messages[person];
        if body["conversation_id"] == first && !messages.iter().any(|id| id == chat_id) {
            messages.push(chat_id.to_owned());
        }
    }

    /// Checks that all replies to requests with the same idempotency key are equal.
    fn judge_repetition(&mut self, id: usize, chat: &ChatRequest, body: &Value) -> Checked {
        let (now, task) = (self.now(), &self.tasks[id]);
        let Some(key) = chat.key.clone() else { return Ok(()) };
        let (_, is_replay) = task.told.unwrap();
        let person = self.clients[task.client].person;
        let remembered = self.keys.get_mut(&(person, key)).ok_or("a key without a request")?;
        // The reply to an earlier chat with the same idempotency key, or to a replay that began
        // before the last chat, may still be in transit.
        if body["id"] != remembered.chat_id.as_str() {
            let began_after = task.started + 86_400 >= remembered.until;
            let is_wrong = is_replay && began_after && now < remembered.until;
            return ensure(!is_wrong, "a replay of another chat");
        }
        match &remembered.body {
            Some(before) if before != body => Err(format!("told {before}, then {body}")),
            _ => {
                remembered.body = Some(body.clone());
                Ok(())
            }
        }
    }

    /// Checks that a chat was refused for a valid reason.
    fn judge_refusal(&mut self, id: usize, chat: &ChatRequest, body: &Value) -> Checked {
        let (task, now) = (&self.tasks[id], self.now());
        let (status, _) = task.told.unwrap();
        let was_disturbed = task.faults > 0 || task.may_time_out(now);
        match (status, task.code.as_str()) {
            (401 | 503, _) if task.code != "not_charged" => Ok(()),
            (503, _) if was_disturbed => Ok(()),
            // An earlier settle with the same idempotency key was in transit for longer than an id
            // stays closed, and the store applied it before this task's settle. The earlier settle
            // has written the idempotency key's record.
            (503, _) if self.was_paid_under_its_key(task, chat) => Ok(()),
            (502, "ai_failed") | (504, "ai_timed_out") if is_failure(&chat.message) => Ok(()),
            // After a fault, the credits may still be held. After a delay, the AI may have had too
            // little time before the lease ended.
            (502, "ai_failed") | (504, "ai_timed_out") if was_disturbed => Ok(()),
            (410, "stopped") if self.was_stopped(task) => Ok(()),
            (402, "insufficient_tokens") | (409, "costs_more") if self.features.listed => {
                self.judge_price(id, body)
            }
            (400, "invalid_fields") if self.features.listed => self.judge_model(task),
            (402, "key_limit_reached") => {
                let limit = self.person_of(task).limit;
                let is_over =
                    |account: &Account| account.purses.values().any(|purse| purse + PRICE > limit);
                ensure(task.seen.iter().any(is_over), "402 for an API key within its limit")
            }
            (402, _) if task.seen.iter().any(|account| account.tokens < PRICE) => Ok(()),
            // The product answers 404 only before it reserves credits. Once the AI has been called,
            // a chat is charged even if its conversation was deleted.
            (404, "not_found") if task.owners.is_empty() => ensure(
                self.is_in_a_deleted_conversation(task, chat),
                "404 for a conversation that no client has deleted",
            ),
            (429, "too_many_refunds") => self.judge_refunds(task),
            (429, "too_many_chats_this_minute") => self.judge_chats_in_minute(task),
            (429, _) if self.has_many_waiting_chats(task) => Ok(()),
            (409, "idempotency_key_running") if self.same_key_tasks(task, chat).count() > 1 => {
                Ok(())
            }
            // The chat of an earlier request with the same key was deleted with its conversation.
            (410, "chat_deleted") => ensure(
                self.was_paid_under_its_key(task, chat)
                    && self.has_deleted_conversation(task, chat),
                "410 for a chat that no client has deleted",
            ),
            (422, "idempotency_key_reused") => {
                let mut chats = self.same_key_tasks(task, chat).filter_map(Task::chat);
                ensure(
                    chats.any(|other| !other.equals(chat)),
                    "422, though the key was used for nothing else",
                )
            }
            (410, "repeated_too_often") => {
                let others = self.same_key_tasks(task, chat).filter(|other| !ptr::eq(*other, task));
                ensure(
                    others.filter(|other| other.has_repeated).count() >= REPEATS,
                    "410, though the embeddings were repeated less than twice",
                )
            }
            (_, code) => Err(format!("{status} {code} without a reason")),
        }
    }

    /// Checks that a refusal because of the price is justified, and that the chat can't get a hold
    /// later.
    fn judge_price(&mut self, id: usize, body: &Value) -> Checked {
        let task = &self.tasks[id];
        let person = self.person_of(task);
        let (asked, cost) = (self.asked(task).unwrap(), body["cost"].as_i64().unwrap());
        let known = self.instances[task.instance].known(task.started);
        let is_needed = match asked.chat.max_cost {
            Some(most) if body["most"] == most => cost > most,
            _ => body["most"].is_null() && task.seen.iter().any(|account| account.tokens < cost),
        };
        if !is_needed || !asked.costs(cost, &known) {
            let had: Vec<_> = task.seen.iter().map(|account| account.tokens).collect();
            return Err(format!("{} with {body} for {had:?}, and {known:?} was known", task.code));
        }
        // The flat price of a message is reserved only once, and its id stays open.
        let closes = body["by_usage"] != false || asked.chat.kind.embeds();
        let has_closed = task.lost_a_reserve && closes && !self.options.ancient;
        if has_closed && task.owner().is_some_and(|id| person.account.holds_for(id)) {
            return Err(format!("{}, but tokens are held for the chat", task.code));
        }
        self.tasks[id].has_refused = has_closed;
        Ok(())
    }

    /// Checks that a price list lacked the chat's model.
    fn judge_model(&self, task: &Task) -> Checked {
        let asked = self.asked(task).unwrap();
        let known = self.instances[task.instance].known(task.started);
        ensure(
            known.iter().any(|version| asked.terms(*version).is_none()),
            "400 for a model that each list has",
        )
    }

    /// Checks that refunds or free work blocked the account while the task ran.
    fn judge_refunds(&self, task: &Task) -> Checked {
        let limits = self.limits_of(task, true);
        let is_closed = |account: &Account, at: u64| {
            account.is_closed_by_refunds(at / 60, &limits)
                || account.is_closed_by_free_work(at, &limits)
        };
        let was_closed = |at: u64| task.seen.iter().any(|account| is_closed(account, at));
        ensure(
            self.minutes_of(task).into_iter().any(was_closed),
            "429, though not too many chats were refunded",
        )
    }

    /// Checks that enough chats began in one of the minutes in which the task ran. If the client
    /// counts its retries, the function first reads the account and the idempotency key of an
    /// earlier call, and then reserves credits.
    fn judge_chats_in_minute(&self, task: &Task) -> Checked {
        let minutes = self.minutes_of(task);
        let in_minute =
            |account: &Account| minutes.iter().map(|at| account.chats_in_minute_of(*at)).max();
        let begun = task.seen.iter().filter_map(in_minute).max().unwrap_or(0);
        if begun >= self.limits_of(task, true).chats {
            Ok(())
        } else {
            Err(format!("429, though only {begun} chats began"))
        }
    }

    /// Returns a time in seconds for each minute in which the task ran.
    fn minutes_of(&self, task: &Task) -> Vec<u64> {
        let now = self.now();
        (task.started..now).step_by(60).chain([now]).collect()
    }

    fn has_many_waiting_chats(&self, task: &Task) -> bool {
        let most = self.limits_of(task, true).parallel;
        task.seen.iter().any(|account| i64::try_from(account.held.len()).unwrap() >= most)
    }

    /// Returns true if the task's own chat was paid.
    pub(super) fn has_paid(&self, task: &Task) -> bool {
        task.owners.iter().any(|owner| self.person_of(task).paid(owner))
    }

    /// Returns true if the same request was paid for by another task with the same idempotency key.
    pub(super) fn was_paid_before(&self, task: &Task, chat: &ChatRequest) -> bool {
        let is_equal = |other: &Task| other.chat().is_some_and(|asked| asked.equals(chat));
        self.same_key_tasks(task, chat)
            .any(|other| !ptr::eq(other, task) && is_equal(other) && self.has_paid(other))
    }

    fn was_stopped(&self, task: &Task) -> bool {
        task.owners.iter().any(|owner| self.person_of(task).has_stopped(owner))
    }

    /// Returns true if a chat with the same idempotency key was paid.
    fn was_paid_under_its_key(&self, task: &Task, chat: &ChatRequest) -> bool {
        let person = self.clients[task.client].person;
        chat.key.clone().is_some_and(|key| self.keys.contains_key(&(person, key)))
    }

    /// Returns true if a client has begun to delete the chat's conversation.
    fn is_in_a_deleted_conversation(&self, task: &Task, chat: &ChatRequest) -> bool {
        let known = &self.conversations[self.clients[task.client].person];
        known.iter().any(|(id, deleted)| *deleted && chat.conversation.as_ref() == Some(id))
    }

    /// Returns true if a client has begun to delete the chat's conversation, or, for a chat that
    /// begins a conversation, any conversation of the person.
    fn has_deleted_conversation(&self, task: &Task, chat: &ChatRequest) -> bool {
        let known = &self.conversations[self.clients[task.client].person];
        match chat.conversation {
            Some(_) => self.is_in_a_deleted_conversation(task, chat),
            None => known.iter().any(|(_, deleted)| *deleted),
        }
    }

    /// Returns the tasks of the same person with the same idempotency key. All calls of clients
    /// that count their retries have the same key, and so do all equal requests of an API key that
    /// takes them for retries.
    pub(super) fn same_key_tasks<'s>(
        &'s self,
        task: &'s Task,
        chat: &'s ChatRequest,
    ) -> impl Iterator<Item = &'s Task> {
        let shares_key = move |other: &Task, asked: &ChatRequest| match chat.kind {
            ChatKind::Equal => asked.kind == ChatKind::Equal && other.client == task.client,
            kind if kind.counts() => asked.kind.counts(),
            _ => chat.key.is_some() && asked.key == chat.key,
        };
        self.tasks.iter().filter(move |other| {
            other.chat().is_some_and(|asked| shares_key(other, asked))
                && self.is_of_same_person(task, other)
        })
    }

    fn is_of_same_person(&self, task: &Task, other: &Task) -> bool {
        self.clients[other.client].person == self.clients[task.client].person
    }

    fn person_of(&self, task: &Task) -> &Person {
        &self.people[self.clients[task.client].person]
    }
}

/// Returns true if a message makes the AI fail.
fn is_failure(message: &str) -> bool {
    FAILURES.iter().any(|command| message.starts_with(command))
}

/// Returns true if a reply contains the receipt and the usage of its stored chat.
fn has_receipt(body: &Value, mut kept: Value) -> bool {
    let receipt = &mut kept["receipt"];
    if !receipt.is_null() {
        receipt["prices"] = receipt["list"].take();
        receipt.as_object_mut().unwrap().remove("list");
    }
    let is_listed = kept["receipt"].is_null() || body["model"] == kept["receipt"]["model"];
    is_listed && ["receipt", "usage"].iter().all(|of| body[of] == kept[of])
}
