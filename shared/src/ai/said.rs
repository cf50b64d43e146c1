//! The text that a provider has sent so far, and its delivery to a listener.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::UnboundedSender;

use super::{Answer, Cut, Failure, Prompt, Usage};

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text.
    pub text: String,
    /// The model that writes it.
    pub model: String,
}

/// Receives the pieces of an answer at once.
pub type Listener = UnboundedSender<Piece>;

/// The text that a provider has sent so far, and its listener.
pub(super) struct Said<'l> {
    text: String,
    pub(super) limit: usize,
    listener: Option<&'l Listener>,
    /// How many bytes were delivered. Leading white space waits for the first visible text: an
    /// answer of white space is empty, or delivered at its end.
    told: usize,
    heard: &'l AtomicBool,
    pub(super) model: String,
    pub(super) cut: Option<Cut>,
    pub(super) usage: Option<Usage>,
}

impl<'l> Said<'l> {
    /// No text yet by this model, and at most `limit` bytes. `heard` becomes true with the first
    /// delivery.
    pub(super) fn new(
        model: &str,
        limit: usize,
        listener: Option<&'l Listener>,
        heard: &'l AtomicBool,
    ) -> Self {
        let (text, model) = (String::new(), model.to_owned());
        Self { text, limit, listener, told: 0, heard, model, cut: None, usage: None }
    }

    /// Whether there is a listener for pieces.
    pub(super) fn is_listened_to(&self) -> bool {
        self.listener.is_some()
    }

    /// Adds a piece, up to the limit.
    pub(super) fn say(&mut self, piece: &str) -> Result<(), Failure> {
        self.text.push_str(piece);
        let is_over = self.text.len() > self.limit;
        self.text.truncate(self.text.floor_char_boundary(self.limit));
        self.tell();
        if is_over { Err(Failure::Cut(Cut::Length)) } else { Ok(()) }
    }

    /// Whether the text so far is only white space.
    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Delivers new text, once it is more than white space.
    fn tell(&mut self) {
        if !self.is_empty() {
            self.tell_the_rest();
        }
    }

    fn tell_the_rest(&mut self) {
        let Some(listener) = self.listener else { return };
        if let Some(news) = self.text.get(self.told..).filter(|news| !news.is_empty()) {
            // A listener that disconnected misses it; the answer goes on.
            let _ = listener.send(Piece { text: news.to_owned(), model: self.model.clone() });
            self.told = self.text.len();
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
            Err(Failure::Cut(cut)) if self.told > 0 => Some(cut),
            Err(failure) => return Err(failure),
        };
        if self.is_empty() {
            if !prompt.empty_is_an_answer {
                return Err(Failure::failed("an empty answer"));
            }
            self.tell_the_rest();
        }
        let Self { text, model, usage, .. } = self;
        Ok(Answer { text, model, cut, usage })
    }
}
