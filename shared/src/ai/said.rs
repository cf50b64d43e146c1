//! What a provider has answered so far, and its delivery to a listener.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use super::tools::{CallPiece, ToolCall};
use super::{Answer, Cut, Failure, Prompt, Usage};

/// A piece of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// A part of the call of a function.
    pub call: Option<CallPiece>,
    /// The model that writes it.
    pub model: String,
}

/// Receives the pieces of an answer at once.
pub type Listener = UnboundedSender<Piece>;

/// What a provider has answered so far, and its listener.
pub(super) struct Said<'l> {
    text: String,
    calls: Vec<ToolCall>,
    /// The number that the provider gave to each call.
    numbers: Vec<u64>,
    /// How many functions the answer may call. Other calls are left out.
    most_calls: usize,
    pub(super) limit: usize,
    listener: Option<&'l Listener>,
    /// How many bytes of the text were delivered. Leading white space waits for the first visible
    /// text: an answer of white space is empty, or delivered at its end.
    told: usize,
    heard: &'l AtomicBool,
    pub(super) model: String,
    pub(super) cut: Option<Cut>,
    pub(super) usage: Option<Usage>,
}

impl<'l> Said<'l> {
    /// No answer yet to this prompt by this model, and at most `limit` bytes. `heard` becomes true
    /// with the first delivery.
    pub(super) fn new(
        prompt: &Prompt,
        model: &str,
        limit: usize,
        listener: Option<&'l Listener>,
        heard: &'l AtomicBool,
    ) -> Self {
        let most_calls = match prompt.parallel_calls {
            _ if !prompt.offers_calls() => 0,
            Some(false) => 1,
            _ => usize::MAX,
        };
        Self {
            text: String::new(),
            calls: Vec::new(),
            numbers: Vec::new(),
            most_calls,
            limit,
            listener,
            told: 0,
            heard,
            model: model.to_owned(),
            cut: None,
            usage: None,
        }
    }

    /// Whether there is a listener for pieces.
    pub(super) fn is_listened_to(&self) -> bool {
        self.listener.is_some()
    }

    /// How many more bytes the answer may have.
    fn room(&self) -> usize {
        let calls: usize = self.calls.iter().map(ToolCall::size).sum();
        self.limit.saturating_sub(self.text.len() + calls)
    }

    /// Adds a piece of the text, up to the limit.
    pub(super) fn say(&mut self, piece: &str) -> Result<(), Failure> {
        let fits = piece.get(..piece.floor_char_boundary(self.room())).unwrap_or_default();
        self.text.push_str(fits);
        self.tell();
        if fits.len() < piece.len() { Err(Failure::Cut(Cut::Length)) } else { Ok(()) }
    }

    /// Adds a part of a call, up to the limit. A call begins with its name; its id is missing if
    /// the provider has none. `number` is the provider's own.
    pub(super) fn call(
        &mut self,
        number: u64,
        id: &str,
        name: &str,
        arguments: &str,
    ) -> Result<(), Failure> {
        let known = self.numbers.iter().rposition(|known| *known == number);
        // Some servers give all calls one number, others a new id to each part of a call.
        let known = known.filter(|index| {
            id.is_empty()
                || name.is_empty()
                || self.calls.get(*index).is_some_and(|call| call.id == id)
        });
        let (index, begins) = match known {
            Some(index) => (index, None),
            None if self.calls.len() >= self.most_calls => return Ok(()),
            None => {
                let id = match id {
                    "" => format!("call_{}", Uuid::new_v4().simple()),
                    id => id.to_owned(),
                };
                let call = ToolCall { id, name: name.to_owned(), arguments: String::new() };
                if call.size() > self.room() {
                    return Err(Failure::Cut(Cut::Length));
                }
                let begins = (call.id.clone(), call.name.clone());
                self.numbers.push(number);
                self.calls.push(call);
                (self.calls.len() - 1, Some(begins))
            }
        };
        let room = self.room();
        let fits = arguments.get(..arguments.floor_char_boundary(room)).unwrap_or_default();
        if let Some(call) = self.calls.get_mut(index) {
            call.arguments.push_str(fits);
        }
        self.tell_the_rest();
        if begins.is_some() || !fits.is_empty() {
            let call = CallPiece { index, begins, arguments: fits.to_owned() };
            self.deliver(Piece { call: Some(call), ..Piece::default() });
        }
        if fits.len() < arguments.len() { Err(Failure::Cut(Cut::Length)) } else { Ok(()) }
    }

    /// Whether the answer so far is only white space.
    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty() && self.calls.is_empty()
    }

    /// Delivers new text, once it is more than white space.
    fn tell(&mut self) {
        if !self.is_empty() {
            self.tell_the_rest();
        }
    }

    fn tell_the_rest(&mut self) {
        if let Some(news) = self.text.get(self.told..).filter(|news| !news.is_empty()) {
            let text = news.to_owned();
            self.told = self.text.len();
            self.deliver(Piece { text, ..Piece::default() });
        }
    }

    fn deliver(&self, piece: Piece) {
        if let Some(listener) = self.listener {
            // A listener that disconnected misses it; the answer goes on.
            let _ = listener.send(Piece { model: self.model.clone(), ..piece });
            self.heard.store(true, Ordering::Relaxed);
        }
    }

    /// The result. A partial answer is charged once any of it was delivered: otherwise clients
    /// could have answers cut off and pay nothing.
    pub(super) fn answer(
        mut self,
        outcome: Result<(), Failure>,
        prompt: &Prompt,
    ) -> Result<Answer, Failure> {
        let cut = match outcome {
            Ok(()) => self.cut,
            Err(Failure::Cut(cut)) if self.heard.load(Ordering::Relaxed) => Some(cut),
            Err(failure) => return Err(failure),
        };
        if self.is_empty() {
            if !prompt.given {
                return Err(Failure::failed("an empty answer"));
            }
            self.tell_the_rest();
        }
        let Self { text, calls, model, usage, .. } = self;
        let of_calls = |call: &ToolCall| call.name.len() + call.arguments.len();
        let bytes = text.len() + calls.iter().map(of_calls).sum::<usize>();
        let usage = usage.unwrap_or_else(|| Usage::estimate(prompt.size(), bytes));
        Ok(Answer { text, calls, model, cut, usage })
    }
}
