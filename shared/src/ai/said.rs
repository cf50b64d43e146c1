//! What a provider has said so far, and how a listener hears of it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::UnboundedSender;

use super::{Answer, Cut, Failure, Prompt, Usage};

/// A piece of an answer, as it comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What is said.
    pub text: String,
    /// The model that says it.
    pub model: String,
}

/// Who is told the pieces of an answer as they come.
pub type Listener = UnboundedSender<Piece>;

/// What a provider has said so far, and who listens.
pub(super) struct Said<'l> {
    text: String,
    pub(super) limit: usize,
    listener: Option<&'l Listener>,
    /// How many bytes the listener was told. None, as long as there are nothing but spaces: an
    /// answer of these is none, or told at its end.
    told: usize,
    heard: &'l AtomicBool,
    pub(super) model: String,
    pub(super) cut: Option<Cut>,
    pub(super) usage: Option<Usage>,
}

impl<'l> Said<'l> {
    /// Nothing yet, by this model, and at most `limit` bytes. `heard` tells whether the listener was
    /// told anything.
    pub(super) fn new(
        model: &str,
        limit: usize,
        listener: Option<&'l Listener>,
        heard: &'l AtomicBool,
    ) -> Self {
        let (text, model) = (String::new(), model.to_owned());
        Self { text, limit, listener, told: 0, heard, model, cut: None, usage: None }
    }

    /// Whether pieces are wanted as they come.
    pub(super) fn is_listened_to(&self) -> bool {
        self.listener.is_some()
    }

    /// Adds a piece, as far as there is room for it.
    pub(super) fn say(&mut self, piece: &str) -> Result<(), Failure> {
        self.text.push_str(piece);
        let is_over = self.text.len() > self.limit;
        self.text.truncate(self.text.floor_char_boundary(self.limit));
        self.tell();
        if is_over { Err(Failure::Cut(Cut::Length)) } else { Ok(()) }
    }

    /// Whether there is nothing but spaces so far.
    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// Tells a listener what it hasn't heard, as soon as that is more than spaces.
    fn tell(&mut self) {
        if !self.is_empty() {
            self.tell_the_rest();
        }
    }

    fn tell_the_rest(&mut self) {
        let Some(listener) = self.listener else { return };
        if let Some(news) = self.text.get(self.told..).filter(|news| !news.is_empty()) {
            // Who has gone away misses it; the answer goes on.
            let _ = listener.send(Piece { text: news.to_owned(), model: self.model.clone() });
            self.told = self.text.len();
            self.heard.store(true, Ordering::Relaxed);
        }
    }

    /// What it comes to. Whoever has heard an answer pays for it, though it be cut: else they could
    /// have it cut, and for nothing.
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
