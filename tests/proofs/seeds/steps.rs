//! The steps of a schedule: first with faults, then without faults, and finally the clients' last
//! requests.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use shared::BalanceChange;
use shared::store::{AdjustOutcome, Adjustment};
use shared::values::Reason;

use super::account::{Account, Limits};
use super::model::Person;
use super::prices::{Asked, FAILS};
use super::task::{Action, ChatKind, ChatRequest, Task};
use super::wire::Packet;
use super::{Checked, LEASE, Schedule};

/// How long a request may be in transit, in seconds. The protocol's leases and closed ids are
/// designed for this time.
const ON_ITS_WAY: u64 = 30;

/// A step of a schedule.
enum Step {
    /// A client sends a request, or scheduled work starts.
    Start,
    /// A client stops the chat with this idempotency key.
    Stop(usize, &'static str),
    Sweep,
    /// A user buys credits.
    Purchase(usize),
    /// An administrator changes the price list.
    PriceChange,
    /// This number of seconds passes.
    Jump(u64),
    /// The function of this task dies.
    Crash(usize),
    /// The AI completes the answer of this task.
    Completion(usize),
    /// The stray request at this index arrives.
    Arrival(usize),
    /// The store gets this call, or the function gets its reply, unless a fault strikes.
    Passage(u64),
    /// Nothing happens.
    Rest,
}

/// How many more steps of each kind a schedule may have.
struct StepsLeft {
    starts: usize,
    jumps: usize,
    purchases: usize,
    price_changes: usize,
}

impl Schedule<'_> {
    /// Runs the whole schedule.
    pub(super) async fn play(&mut self) -> Checked {
        let mut left = self.steps_left();
        loop {
            self.run_until_waiting().await?;
            let Some(step) = self.next_step(&mut left) else { break };
            self.take(step).await?;
        }
        self.finish_and_audit().await
    }

    fn steps_left(&mut self) -> StepsLeft {
        // A refresh token becomes invalid after three more refreshes, and each refresh needs the
        // reply to the previous refresh.
        let for_refreshes = if self.options.refreshes > 50 { 4 } else { 0 };
        let for_stops = if self.features.stops { 6 } else { 0 };
        let for_repeats = if self.features.repeats { 4 } else { 0 };
        let (purchases, price_changes) = match (self.features.listed, self.features.poor) {
            (false, _) => (0, 0),
            (true, false) => (4, 4),
            (true, true) => (5, 1),
        };
        StepsLeft {
            starts: 4 + self.random.below(6) + for_refreshes + for_stops + for_repeats,
            jumps: 4,
            purchases,
            price_changes,
        }
    }

    /// Draws the next step. `None` once all requests have ended.
    ///
    /// The range of an arm is its share of the draws, in percent. If its guard fails, the draw goes
    /// to a later arm with the same number, or else to a waiting call, so most draws let a waiting
    /// call through. The arm of [`Schedule::overtaking`] takes precedence over the last two ranges,
    /// which only schedules of poor users use.
    fn next_step(&mut self, left: &mut StepsLeft) -> Option<Step> {
        let (listed, poor) = (self.features.listed, self.features.poor);
        let waiting = self.waiting();
        let running: Vec<_> =
            (0..self.tasks.len()).filter(|task| self.tasks[*task].is_running()).collect();
        let held: Vec<_> =
            running.iter().copied().filter(|task| self.tasks[*task].goes_on()).collect();
        let mut adrift = self.arriving();
        if poor {
            let wire = self.lane.connection.wire();
            adrift.retain(|index| !wire.adrift[*index].is_reserve());
        }
        // Only the first of the requests that arrive at the same time is paid or repeated.
        let at_once = if self.features.repeats { 2 } else { 6 };
        let (unpaid, late) = self.late_reserves();
        if left.starts == 0 && running.is_empty() {
            return None;
        }
        Some(match self.random.below(100) {
            0..30 if left.starts > 0 && running.len() < at_once => {
                left.starts -= 1;
                Step::Start
            }
            30..34 if left.jumps > 0 => {
                left.jumps -= 1;
                let jumps = [1, 5, 29, 30, 31, 58, LEASE, 60, 61, 61, 120, 400, 86_341, 86_400];
                let by = self.random.pick(&jumps);
                // Stray reserves of poor users may still arrive after this jump.
                Step::Jump(if poor { by.min(5) } else { by })
            }
            34..37 if !running.is_empty() => Step::Crash(self.random.pick(&running)),
            37..45 if !adrift.is_empty() => Step::Arrival(self.random.pick(&adrift)),
            45..49 if !held.is_empty() => Step::Completion(self.random.pick(&held)),
            49..54 if left.purchases > 0 && !poor => {
                left.purchases -= 1;
                Step::Purchase(self.random.below(self.people.len()))
            }
            54..57 if left.price_changes > 0 => {
                left.price_changes -= 1;
                Step::PriceChange
            }
            57..63 if listed && !adrift.is_empty() => Step::Arrival(self.random.pick(&adrift)),
            63..67 if let Some((client, key)) = self.silent() => Step::Stop(client, key),
            67..92 if let Some(step) = self.overtaking() => step,
            75..82 if !unpaid.is_empty() && left.purchases > 0 => {
                left.purchases -= 1;
                Step::Purchase(self.random.pick(&unpaid))
            }
            82..92 if !late.is_empty() => Step::Arrival(self.random.pick(&late)),
            _ if !waiting.is_empty() => Step::Passage(self.random.pick(&waiting)),
            _ => Step::Rest,
        })
    }

    async fn take(&mut self, step: Step) -> Checked {
        match step {
            Step::Start => self.start_something(),
            Step::Stop(client, key) => self.stop(client, key),
            Step::Sweep => drop(self.start(0, Action::Sweep)),
            Step::Purchase(person) => self.buy(person).await?,
            Step::PriceChange => self.change_prices(),
            Step::Jump(by) => self.jump(by),
            Step::Crash(task) => self.crash(task),
            Step::Completion(task) => {
                self.tasks[task].complete();
                self.say(format_args!("{task}: the AI says the rest"));
            }
            Step::Arrival(index) => {
                let packet = self.lane.connection.wire().adrift.remove(index);
                self.arrive_late(packet)?;
            }
            Step::Passage(call) => self.pass(call).await?,
            Step::Rest => {}
        }
        Ok(())
    }

    /// Lets a call through, unless it has to wait longer.
    async fn pass(&mut self, call: u64) -> Checked {
        if self.features.listed && self.is_swept(call) {
            self.let_sweep_through(call).await
        } else if self.is_slow(call) {
            Ok(())
        } else {
            self.let_through(call)
        }
    }

    /// Returns the waiting calls, sorted by task and then by contents. Ids are random, and parallel
    /// calls are sent in any order, so neither the ids nor the order of sending is the same in each
    /// run.
    fn waiting(&self) -> Vec<u64> {
        let wire = self.lane.connection.wire();
        let mut waiting: Vec<_> = wire.calls.iter().collect();
        let order = |packet: &Packet| {
            (
                packet.task,
                packet.operation.clone(),
                packet.table().to_owned(),
                packet.owner().to_owned(),
            )
        };
        waiting.sort_by_cached_key(|call| (order(&call.packet), call.id));
        waiting.into_iter().map(|call| call.id).collect()
    }

    /// Returns the number of the task that sends a call.
    fn task_of(&self, call: u64) -> Option<usize> {
        self.lane.connection.wire().call(call).map(|call| call.packet.task)
    }

    /// Returns true if a sweep sends the call to change an account.
    fn is_swept(&self, call: u64) -> bool {
        let mut wire = self.lane.connection.wire();
        let Some(call) = wire.call(call) else { return false };
        matches!(self.tasks[call.packet.task].action, Action::Sweep) && call.packet.is_write()
    }

    /// Lets through, without faults, all changes that a sweep makes to an account. A sweep releases
    /// holds in the order of their ids, which are random. With price lists, holds have different
    /// amounts, so the schedule must not continue between two of the releases.
    async fn let_sweep_through(&mut self, call: u64) -> Checked {
        let usual = (self.options.storm, self.options.echoes);
        (self.options.storm, self.options.echoes) = (0, 0);
        let said = self.log.len();
        let sweep = self.task_of(call);
        let mut next = Some(call);
        while let Some(call) = next {
            self.let_through(call)?;
            self.run_until_waiting().await?;
            let is_next = |call: &u64| self.task_of(*call) == sweep && self.is_swept(*call);
            next = self.waiting().into_iter().find(is_next);
        }
        (self.options.storm, self.options.echoes) = usual;
        // The outcomes in their random order must not be part of the log.
        self.log.truncate(said);
        self.say(format_args!("a sweep changes an account"));
        Ok(())
    }

    /// Returns the next step after which a slow settle finds a hold with an amount other than its
    /// own: the lease ends, a sweep releases the hold, the user buys credits, and a copy of the
    /// chat's first and larger reserve arrives.
    fn overtaking(&self) -> Option<Step> {
        let wire = self.lane.connection.wire();
        let settles = |task: usize| {
            wire.calls.iter().any(|call| call.is_waiting_transaction() && call.packet.task == task)
        };
        let is_overtaking = |packet: &Packet| packet.is_reserve() && settles(packet.task);
        let strays = wire.adrift.iter().enumerate().filter(|_| self.features.slow_settles);
        let (index, stray) = strays.rev().find(|(_, packet)| is_overtaking(packet))?;
        let task = &self.tasks[stray.task];
        let person = self.clients[task.client].person;
        let Account { tokens, held, .. } = &self.people[person].account;
        let own = held.values().find(|held| Some(held.owner.as_str()) == task.owner());
        let sweeps = |task: &Task| task.is_running() && matches!(task.action, Action::Sweep);
        match own {
            Some(own) if own.cost == stray.cost() => None,
            Some(own) if own.expires_at > self.now() => Some(Step::Jump(LEASE + 1)),
            Some(_) if self.tasks.iter().any(sweeps) => None,
            Some(_) => Some(Step::Sweep),
            None if *tokens < stray.cost() => Some(Step::Purchase(person)),
            None => Some(Step::Arrival(index)),
        }
    }

    /// Returns true if a call has to wait longer, because it is a settle and settles are slow.
    fn is_slow(&mut self, call: u64) -> bool {
        let is_transaction = self
            .lane
            .connection
            .wire()
            .call(call)
            .is_some_and(|call| call.is_waiting_transaction());
        self.features.slow_settles && is_transaction && self.random.percent(96)
    }

    /// Returns a client and the idempotency key of an answer that ends only if it is stopped.
    fn silent(&self) -> Option<(usize, &'static str)> {
        let mut running = self.tasks.iter().filter(|task| task.is_running());
        running.find_map(|task| {
            let chat = task.chat().filter(|chat| chat.kind == ChatKind::Silent)?;
            Some((task.client, chat.held_key()))
        })
    }

    /// Looks for stray reserves that were refused when they were sent again, because the user had
    /// too few credits. Returns the users who still have too few credits, and the indexes of the
    /// reserves for which the users now have enough.
    fn late_reserves(&self) -> (Vec<usize>, Vec<usize>) {
        let (mut unpaid, mut late) = (Vec::new(), Vec::new());
        let wire = self.lane.connection.wire();
        let strays = wire.adrift.iter().enumerate().filter(|(_, packet)| packet.is_reserve());
        for (index, packet) in strays.filter(|_| self.features.poor) {
            let task = &self.tasks[packet.task];
            let person = self.clients[task.client].person;
            let account = &self.people[person].account;
            let is_held = task.owner().is_some_and(|id| account.holds_for(id));
            match account.tokens >= packet.cost() {
                _ if is_held => {}
                true => late.push(index),
                false => unpaid.extend(task.was_poor.then_some(person)),
            }
        }
        (unpaid, late)
    }

    /// Returns the indexes of the stray requests that may still arrive.
    fn arriving(&self) -> Vec<usize> {
        let (now, ancient) = (self.now(), self.options.ancient);
        let mut wire = self.lane.connection.wire();
        wire.adrift.retain(|packet| ancient || now <= packet.sent + ON_ITS_WAY);
        (0..wire.adrift.len()).collect()
    }

    /// Lets a user buy credits.
    async fn buy(&mut self, person: usize) -> Checked {
        let bought =
            self.random.pick(if self.features.poor { &[150, 400] } else { &[50, 150, 400, 2000] });
        self.adjust(person, bought).await
    }

    /// Adjusts a user's balance.
    pub(super) async fn adjust(&mut self, person: usize, amount: i64) -> Checked {
        let change = BalanceChange::new(amount).unwrap();
        let reason = Reason::parse("bought").unwrap();
        let account = &self.accounts[person];
        let adjustment = Adjustment::new(account, change, reason, "manage", &self.clock);
        let outcome = self.app.store.adjust(&adjustment, self.now()).await;
        if outcome != Ok(AdjustOutcome::Applied) {
            return Err(format!("{outcome:?} to a purchase"));
        }
        let tables = self.lane.tables();
        let name = self.people[person].name;
        self.say(format_args!("{name} buys {amount}"));
        self.people[person].buys(&tables, amount)
    }

    pub(super) fn jump(&mut self, by: u64) {
        self.clock.advance(Duration::from_secs(by));
        self.say(format_args!("{by} seconds go by"));
    }

    /// Lets the tasks run until each of them waits for the store.
    async fn run_until_waiting(&mut self) -> Checked {
        let begun = Instant::now();
        let quiet = poll_fn(|context| {
            let mut all_wait = true;
            for id in 0..self.tasks.len() {
                let now = self.clock.seconds();
                let mut wire = self.lane.connection.wire();
                // A task whose calls all wait can't make progress.
                if self.tasks[id].running.is_none() || wire.waits(id) {
                    continue;
                }
                let Some(mut running) = self.tasks[id].running.take() else { continue };
                (wire.current, wire.now) = (Some(id), now);
                drop(wire);
                let polled = running.as_mut().poll(context);
                self.lane.connection.wire().current = None;
                match polled {
                    Poll::Pending => self.tasks[id].running = Some(running),
                    Poll::Ready(outcome) => {
                        drop(running);
                        if let Err(violation) = self.judge(id, outcome) {
                            self.violation.get_or_insert(violation);
                        }
                    }
                }
                let mut wire = self.lane.connection.wire();
                if self.tasks[id].running.is_none() {
                    wire.pausing.retain(|(who, _)| *who != id);
                } else {
                    all_wait &= wire.waits(id);
                }
            }
            if all_wait || self.violation.is_some() { Poll::Ready(()) } else { Poll::Pending }
        });
        if tokio::time::timeout(Duration::from_secs(60), quiet).await.is_err() {
            return Err(format!("after {:?} a task still waits for nothing", begun.elapsed()));
        }
        self.violation.take().map_or(Ok(()), Err)
    }

    /// Ends the faults, and checks that nothing is reserved after one jump in time and one sweep,
    /// and that every client learns the outcome of its requests.
    pub(super) async fn finish_and_audit(&mut self) -> Checked {
        (self.options.storm, self.options.echoes, self.options.lost_reserves) = (0, 0, 0);
        for index in self.arriving().into_iter().rev() {
            let packet = self.lane.connection.wire().adrift.remove(index);
            if self.random.percent(50) {
                self.arrive_late(packet)?;
            }
        }
        self.lane.connection.wire().adrift.clear();
        self.jump(61);
        self.finish(0, Action::Sweep).await?;
        self.people.iter().try_for_each(is_at_rest)?;
        let person = self.random.below(self.people.len());
        self.find_out(person).await?;
        let tables = self.lane.tables();
        for (person, account) in self.people.iter().zip(&self.accounts) {
            person.audit(&tables)?;
            if self.features.listed || self.features.till {
                let found = self.app.store.audit(&account.label).await.unwrap();
                if !found.differences.is_empty() {
                    return Err(format!(
                        "{}: the audit finds {:?}",
                        person.name, found.differences
                    ));
                }
            }
        }
        Ok(())
    }

    /// Lets a client repeat a request with an idempotency key and read the balance, so that no
    /// outcome remains unknown.
    async fn find_out(&mut self, person: usize) -> Checked {
        let clients: Vec<_> = (0..self.clients.len())
            .filter(|client| self.clients[*client].person == person)
            .collect();
        let client = self.random.pick(&clients);
        let key = self.random.pick(&["k1", "k1", "k2"]);
        let now = self.now();
        let chat = ChatRequest::new(Some(key.into()), format!("{key} hi"), ChatKind::Whole);
        let chat = ChatRequest { max_cost: None, ..self.priced(chat) };
        let known = self.keys.get(&(person, key.to_owned())).filter(|known| now < known.until);
        let known = known.map(|known| known.message == chat.message);
        let current = self.current_version();
        let before = self.people[person].account.clone();
        let limits = Limits::of(&self.app.config, false, true);
        let probe = self.finish(client, Action::Chat(chat.clone())).await?;
        let asked = Asked { chat: &chat, instructed: self.people[person].instructed };
        let terms = asked.terms(current.as_deref());
        let price = terms.map(|terms| *asked.least(terms).start());
        let (status, replayed) = self.tasks[probe].told.unwrap();
        // A reserve first tops up the balance.
        let after = &self.people[person].account;
        let filled = after.granted - before.granted;
        let expected = match known {
            _ if status == 401 => return Ok(()),
            Some(true) => (200, true),
            Some(false) => (422, false),
            None if price.is_none() => (400, false),
            None if price.is_some_and(|price| before.tokens + filled < price) => (402, false),
            // If an account gets too many refunds within one minute, it must also wait in the
            // following minutes.
            None if before.is_closed_by_refunds(now / 60, &limits) => (429, false),
            None if before.is_closed_by_free_work(now, &limits) => (429, false),
            // Some price lists have a second provider for the model.
            None if chat.message.starts_with(FAILS) && status == 502 => (502, false),
            None => (200, false),
        };
        if (status, replayed) != expected {
            return Err(format!(
                "after the storm {expected:?} was due for {key}, not {status} {}",
                self.tasks[probe].code
            ));
        }
        let unchanged = (after.tokens, after.spent, &after.held)
            == (before.tokens + filled, before.spent, &before.held);
        let is_free = price == Some(0);
        if unchanged != (expected != (200, false)) && !is_free {
            return Err(format!(
                "{expected:?} for {key}, and the account went from {before:?} to {after:?}"
            ));
        }
        self.finish(client, Action::Balance).await.map(drop)
    }

    /// Runs all tasks until they wait for the store, and returns this task's next call. `None` once
    /// the task has ended.
    pub(super) async fn next_call(&mut self, task: usize) -> Checked<Option<u64>> {
        loop {
            self.run_until_waiting().await?;
            let call = self.waiting().into_iter().find(|call| self.task_of(*call) == Some(task));
            if call.is_some() || !self.tasks[task].is_running() {
                return Ok(call);
            }
        }
    }

    /// Starts a request and lets all its calls through. Returns the number of the request's task.
    pub(super) async fn finish(&mut self, client: usize, action: Action) -> Checked<usize> {
        let id = self.start(client, action);
        while let Some(call) = self.next_call(id).await? {
            self.let_through(call)?;
        }
        Ok(id)
    }
}

/// Checks an account after the sweep, which releases all holds and removes accounts without holds
/// from the `due` index.
fn is_at_rest(person: &Person) -> Checked {
    let Account { tokens, granted, spent, held, due, .. } = &person.account;
    if !held.is_empty() || *granted != tokens + spent {
        return Err(format!(
            "{}: tokens are held after the sweep: {:?}",
            person.name, person.account
        ));
    }
    if *due {
        return Err(format!(
            "{}: the account is at rest, and the index due still names it",
            person.name
        ));
    }
    Ok(())
}
