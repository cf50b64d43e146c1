//! A schedule in which nothing is left to chance: a user can afford only a short answer, the lease
//! ends while the settle is in transit, and a copy of the chat's first and larger reserve arrives.
//! The settle then finds a hold with an amount other than its own. Random schedules rarely get that
//! far.

use super::prices::{Asked, BY_USAGE};
use super::task::{Action, ChatKind, ChatRequest};
use super::wire::{Broken, Packet};
use super::{Checked, LEASE, Schedule, ensure};

/// A seed of the schedules with price lists, poor users and slow settles.
pub const SEED: u64 = 1;

/// How many calls a chat may need until it settles.
const MOST_CALLS: usize = 100;

impl Schedule<'_> {
    pub(super) async fn play_overtaken(&mut self) -> Checked {
        (self.options.storm, self.options.echoes, self.options.lost_reserves) = (0, 0, 0);
        let chat = ChatRequest::new(None, "hi".into(), ChatKind::Whole);
        let chat = ChatRequest { model: BY_USAGE[0], ..chat };
        let person = self.clients[0].person;
        let short = self.shortest_answer(&chat, person);
        self.adjust(person, short - self.people[person].account.tokens).await?;

        let task = self.start(0, Action::Chat(chat));
        let first = self.lose_the_first_reserve(task).await?;
        self.jump(LEASE + 1);
        self.finish(0, Action::Sweep).await?;
        self.adjust(person, first.cost()).await?;
        self.arrive_late(first.clone())?;
        let account = &self.people[person].account;
        let is_larger = |held: i64| held == first.cost() && held > short;
        let replaces = account.held.values().any(|held| is_larger(held.cost));
        ensure(replaces, "the first reserve isn't applied in place of the hold")?;

        while let Some(call) = self.next_call(task).await? {
            self.let_through(call)?;
        }
        self.finish_and_audit().await
    }

    /// Returns the credits that the chat needs at least.
    fn shortest_answer(&self, chat: &ChatRequest, person: usize) -> i64 {
        let asked = Asked { chat, instructed: self.people[person].instructed };
        let terms = asked.terms(self.current_version().as_deref()).unwrap();
        *asked.least(terms).end()
    }

    /// Runs the chat until its settle waits. The chat's first reserve is lost, and returned.
    async fn lose_the_first_reserve(&mut self, task: usize) -> Checked<Packet> {
        let mut first = None;
        for _ in 0..MOST_CALLS {
            let Some(id) = self.next_call(task).await? else { break };
            let (packet, settles) = {
                let mut wire = self.lane.connection.wire();
                let call = wire.call(id).unwrap();
                (call.packet.clone(), call.is_waiting_transaction())
            };
            if settles {
                return first.ok_or_else(|| "the chat settles without a reserve".into());
            }
            if packet.is_reserve() && first.is_none() {
                self.tasks[task].sends(&packet);
                self.tasks[task].lost_a_reserve = true;
                self.tasks[task].faults += 1;
                self.lane.connection.wire().answer(id, Err(Broken::TimedOut));
                self.say(format_args!("{task}: the first reserve is lost"));
                first = Some(packet);
            } else {
                self.let_through(id)?;
            }
        }
        Err("the chat never settles".into())
    }
}
