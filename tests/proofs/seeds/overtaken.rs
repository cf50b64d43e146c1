//! A schedule in which nothing is left to chance: a user can afford only a short answer, the lease
//! ends while the settle is in transit, and a copy of the chat's first and larger reserve arrives.
//! The settle then finds a hold with an amount other than its own. Random schedules rarely get that
//! far.

use super::prices::{Asked, BY_USAGE};
use super::task::{Action, ChatKind, ChatRequest};
use super::{Checked, LEASE, Schedule, ensure};

/// A seed of the schedules with price lists, poor users and slow settles.
pub const SEED: u64 = 1;

impl Schedule<'_> {
    pub(super) async fn play_overtaken(&mut self) -> Checked {
        // The only fault is that the first reserve is lost.
        (self.options.storm, self.options.echoes, self.options.lost_reserves) = (0, 0, 100);
        let chat = ChatRequest::new(None, "hi".into(), ChatKind::Whole);
        let chat = ChatRequest { model: BY_USAGE[0], ..chat };
        let person = self.clients[0].person;
        let short = self.shortest_answer(&chat, person);
        self.adjust(person, short - self.people[person].account.tokens).await?;

        let task = self.start(0, Action::Chat(chat));
        self.run_until_settle(task).await?;
        self.jump(LEASE + 1);
        self.finish(0, Action::Sweep).await?;
        let first = self.lane.connection.wire().adrift.pop();
        let first = first.ok_or("the first reserve isn't lost")?;
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

    /// Runs the chat until its settle waits.
    async fn run_until_settle(&mut self, task: usize) -> Checked {
        while let Some(id) = self.next_call(task).await? {
            let mut wire = self.lane.connection.wire();
            if wire.call(id).is_some_and(|call| call.is_waiting_transaction()) {
                return Ok(());
            }
            drop(wire);
            self.let_through(id)?;
        }
        Err("the chat never settles".into())
    }
}
