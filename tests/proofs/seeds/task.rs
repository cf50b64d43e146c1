//! The actions of a schedule: clients' requests and scheduled work, and the tasks that run them.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Instant;

use shared::Reply;
use shared::ai::Piece;
use shared::aws::OPERATION;
use shared::store::{AdjustOutcome, SetPricesOutcome, StoreError};
use tokio::sync::mpsc::UnboundedReceiver;

use super::account::Account;
use super::wire::Packet;

/// How a client requests a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChatKind {
    Whole,
    Streamed,
    /// The answer is streamed, and doesn't end until a client stops it or the schedule completes
    /// it.
    Held,
    /// The answer isn't streamed, and doesn't end until a client stops it.
    Silent,
    /// The client sends no idempotency key, but counts its retries. `First` is a new call, and
    /// `Again` a retry.
    First,
    Again,
    /// The client sends neither an idempotency key nor a count, but its API key takes an equal
    /// request within a minute for a retry.
    Equal,
    /// The client requests embeddings: the message is a text, and the answer its vector, which
    /// isn't stored.
    Embeddings,
}

impl ChatKind {
    pub fn counts(self) -> bool {
        matches!(self, Self::First | Self::Again)
    }

    /// Returns true if the client sends no idempotency key, but the product recognizes its retries.
    pub fn is_call(self) -> bool {
        self.counts() || self == Self::Equal
    }

    pub fn embeds(self) -> bool {
        self == Self::Embeddings
    }

    /// Returns true if the answer doesn't end by itself.
    pub fn holds(self) -> bool {
        matches!(self, Self::Held | Self::Silent)
    }

    /// Returns true if the client gets the answer as a whole, and uses its access token. For other
    /// kinds, a client uses its API key if it has one.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::Silent)
    }
}

/// A chat, as requested by its client.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub key: Option<String>,
    pub message: String,
    pub kind: ChatKind,
    pub conversation: Option<String>,
    /// The chat that the new chat follows in its conversation, or `start`. By default, a new chat
    /// follows the newest chat.
    pub after: Option<String>,
    /// The model in the price list. `None` for the list's first model.
    pub model: Option<&'static str>,
    pub max_cost: Option<i64>,
}

impl ChatRequest {
    /// Returns a request outside of the client's conversations.
    pub fn new(key: Option<String>, message: String, kind: ChatKind) -> Self {
        let (conversation, after, model, max_cost) = (None, None, None, None);
        Self { key, message, kind, conversation, after, model, max_cost }
    }

    /// Returns true if the other request is the same under the same idempotency key.
    pub fn equals(&self, other: &Self) -> bool {
        (&self.message, self.kind.embeds()) == (&other.message, other.kind.embeds())
    }

    /// Returns the idempotency key of an answer that doesn't end by itself.
    pub fn held_key(&self) -> &'static str {
        if self.message == "!hold k2" { "k2" } else { "k1" }
    }
}

/// A client's request, or scheduled work.
#[derive(Clone, Debug)]
pub enum Action {
    Chat(ChatRequest),
    /// Stops the chat with this idempotency key.
    Stop {
        key: String,
        /// The time until which the idempotency key is remembered, in seconds. 0 if no chat with
        /// this key was paid for before the stop.
        known_until: u64,
    },
    Balance,
    /// Deletes a conversation.
    Delete {
        conversation: String,
    },
    Refresh {
        generation: usize,
    },
    Sweep,
    /// Grants credits from the source with this number. Several clients may do so.
    Grant {
        source: usize,
    },
    /// Replaces or removes the price list whose version is `seen`.
    ChangePrices {
        list: Option<usize>,
        seen: Option<String>,
    },
}

/// The pieces of an answer, as its client receives them.
pub type PieceReceiver = Rc<RefCell<Option<UnboundedReceiver<Piece>>>>;

/// A function that works on an action.
pub type Running = Pin<Box<dyn Future<Output = Outcome>>>;

pub enum Outcome {
    Replied(Reply),
    SweepReport(shared::Result<()>),
    PricesChanged(Result<SetPricesOutcome, StoreError>),
    Granted(Result<AdjustOutcome, StoreError>),
}

/// An action that has started.
pub struct Task {
    pub action: Action,
    pub client: usize,
    /// The number of the function instance that works on the task.
    pub instance: usize,
    pub started: u64,
    /// When the chat began, in seconds: after the function had read the price list.
    pub chat_began: u64,
    /// The machine's time when the task started.
    pub began: Instant,
    /// True if, when the task started, the client knew that the session had ended, or had already
    /// refreshed with a later refresh token.
    pub after_the_end: bool,
    pub faults: u32,
    /// True if a reserve's call or reply was lost, so that a copy of the reserve may arrive late.
    pub lost_a_reserve: bool,
    /// True if a reserve was refused because the user had too few credits.
    pub was_poor: bool,
    /// True if the task has changed the price list.
    pub has_changed_prices: bool,
    /// True if the task has refused its chat because of the price, and has closed its hold's id.
    pub has_refused: bool,
    /// The chat's id, once the task has tried to reserve credits. If embeddings turn out to be paid
    /// for, a second id follows: that of the hold without credits.
    pub owners: Vec<String>,
    /// The id of the hold, once the task has tried to reserve credits.
    pub rid: Option<String>,
    /// The idempotency key that the task has generated for a new call, and when its request
    /// arrived, in seconds.
    pub call: Option<(String, u64)>,
    /// True if the task has counted a repetition of paid embeddings.
    pub has_repeated: bool,
    /// True if the account had no map of free work, and the task doesn't know that its write has
    /// added one. The task's settle then counts no free work.
    pub lacks_free_work: bool,
    /// The free work that the task has counted.
    pub free_work: Option<i64>,
    pub settled_at: Option<u64>,
    /// The account states that refusals and reads have shown to the task.
    pub seen: Vec<Account>,
    pub receiver: PieceReceiver,
    pub running: Option<Running>,
    /// The reply's status, and whether the reply was a replay.
    pub told: Option<(u16, bool)>,
    pub code: String,
}

impl Task {
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Returns the chat that the task's client has requested.
    pub fn chat(&self) -> Option<&ChatRequest> {
        match &self.action {
            Action::Chat(chat) => Some(chat),
            _ => None,
        }
    }

    /// Returns the id of the chat for which the task last tried to reserve credits.
    pub fn owner(&self) -> Option<&str> {
        self.owners.last().map(String::as_str)
    }

    /// Returns true if the machine may have been too slow: the time limits of the AI and of store
    /// calls count real time. The time limit of a call is the shortest of these. A call ends before
    /// its limit if the pause before the next attempt would exceed the limit.
    pub fn was_slow(&self) -> bool {
        self.began.elapsed() >= OPERATION / 2
    }

    /// Returns true if a time limit may have ended the task, because time jumped or the machine was
    /// slow.
    pub fn may_time_out(&self, now: u64) -> bool {
        now > self.started || self.was_slow()
    }

    /// Records when the task first sent its settle, which is a part of the settle's condition, and
    /// what else the test needs to know about the task's writes.
    pub fn sends(&mut self, packet: &Packet) {
        self.call = self.call.take().or_else(|| packet.new_call());
        self.has_repeated |= packet.body.contains("ADD repeats");
        self.free_work = self.free_work.or_else(|| packet.free_work().map(|(_, work)| work));
        if packet.body.contains("SET spent = spent") {
            self.settled_at = Some(self.settled_at.map_or(packet.sent, |at| at.min(packet.sent)));
        }
    }

    /// Returns true if the answer doesn't end until the schedule completes it.
    pub fn goes_on(&self) -> bool {
        self.chat().is_some_and(|chat| chat.kind == ChatKind::Held)
            && self.receiver.borrow().as_ref().is_some_and(|pieces| !pieces.is_closed())
    }

    /// Lets the AI complete the answer.
    pub fn complete(&self) {
        if let Some(pieces) = self.receiver.borrow_mut().as_mut() {
            pieces.close();
        }
    }
}
