//! What a provider has answered so far, and its delivery to a listener.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::de::IgnoredAny;
use tokio::sync::mpsc::UnboundedSender;
use uuid::Uuid;

use crate::ai::tools::CallPiece;
use crate::ai::{Answer, Failure, Prompt};
use crate::values::{CutReason, ToolCall, Usage};

/// A prompt of more bytes, its pictures counted as for the price, is paid for even if its streamed
/// answer is stopped before it begins.
const LONG_PROMPT: usize = 32_768;

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
pub(super) struct AnswerBuilder<'l> {
    text: String,
    calls: Vec<CallBuilder>,
    /// How many functions the answer may call. Other calls are left out.
    most_calls: usize,
    /// The numbers of calls that were left out.
    left_out: HashSet<u64>,
    pub(super) limit: usize,
    listener: Option<&'l Listener>,
    /// How many bytes of the text were delivered. Leading white space waits for the first visible
    /// text: an answer of white space is empty, or delivered at its end.
    delivered: usize,
    anything_delivered: &'l AtomicBool,
    /// Whether a stopped chat counts as answered even if nothing was delivered.
    pays_when_stopped: bool,
    pub(super) model: String,
    pub(super) cut: Option<CutReason>,
    pub(super) usage: Option<Usage>,
}

/// A call of a function, of which parts may still come.
struct CallBuilder {
    call: ToolCall,
    /// The provider's own number. Some providers give all calls one number.
    number: u64,
    /// How many bytes of the arguments were delivered, once its beginning was.
    delivered: Option<usize>,
}

impl CallBuilder {
    /// Whether a part with the same number, and with this id and name if they aren't empty, belongs
    /// to this call. Some providers give a new id to each part of a call, or no ids.
    fn continues(&self, id: &str, name: &str) -> bool {
        match (id, name) {
            (_, "") => true,
            ("", name) => {
                let known = self.call.name.as_str();
                known.is_empty() || known == name && !is_whole(&self.call.arguments)
            }
            (id, _) => self.call.id == id,
        }
    }
}

/// Whether arguments are a whole object.
fn is_whole(arguments: &str) -> bool {
    arguments.trim_end().ends_with('}') && serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

impl<'l> AnswerBuilder<'l> {
    /// No answer yet to this prompt by this model, and at most `limit` bytes. `anything_delivered` becomes true
    /// with the first delivery.
    pub(super) fn new(
        prompt: &Prompt,
        model: &str,
        limit: usize,
        listener: Option<&'l Listener>,
        anything_delivered: &'l AtomicBool,
    ) -> Self {
        let most_calls = match prompt.parallel_calls {
            _ if !prompt.offers_calls() => 0,
            Some(false) => 1,
            _ => usize::MAX,
        };
        Self {
            text: String::new(),
            calls: Vec::new(),
            most_calls,
            left_out: HashSet::new(),
            limit,
            listener,
            delivered: 0,
            anything_delivered,
            pays_when_stopped: listener.is_none() || prompt.priced_size() > LONG_PROMPT,
            model: model.to_owned(),
            cut: None,
            usage: None,
        }
    }

    /// Whether there is a listener for pieces.
    pub(super) fn has_listener(&self) -> bool {
        self.listener.is_some()
    }

    /// How many more bytes the answer may have.
    fn room(&self) -> usize {
        let calls: usize = self.calls.iter().map(|builder| builder.call.size()).sum();
        self.limit.saturating_sub(self.text.len() + calls)
    }

    /// Adds a piece of the text, up to the limit.
    pub(super) fn push_text(&mut self, piece: &str) -> Result<(), Failure> {
        let fits = piece.get(..piece.floor_char_boundary(self.room())).unwrap_or_default();
        self.text.push_str(fits);
        self.deliver_text();
        if fits.len() < piece.len() { Err(Failure::Cut(CutReason::Length)) } else { Ok(()) }
    }

    /// Adds a part of a call, up to the limit. Its id and name are empty if the provider doesn't say
    /// them in this part. `number` is the provider's own.
    pub(super) fn push_call(
        &mut self,
        number: u64,
        id: &str,
        name: &str,
        arguments: &str,
    ) -> Result<(), Failure> {
        let known = self.calls.iter().rposition(|builder| builder.number == number);
        let known = known
            .and_then(|index| Some((index, self.calls.get(index)?)))
            .filter(|(_, builder)| builder.continues(id, name))
            .map(|(index, builder)| (index, builder.call.id == id));
        let index = match known {
            Some((index, true)) => index,
            _ if self.left_out.contains(&number) => return Ok(()),
            Some((index, false)) => index,
            None if self.calls.len() >= self.most_calls => {
                self.left_out.insert(number);
                return Ok(());
            }
            None => self.begin(number, id, name)?,
        };
        self.name(index, name)?;
        let room = self.room();
        let fits = arguments.get(..arguments.floor_char_boundary(room)).unwrap_or_default();
        if let Some(builder) = self.calls.get_mut(index) {
            builder.call.arguments.push_str(fits);
        }
        self.deliver_rest();
        // A listener could do nothing with a call whose name comes later.
        if self.calls.get(index).is_some_and(|builder| !builder.call.name.is_empty()) {
            self.deliver_call(index);
        }
        if fits.len() < arguments.len() { Err(Failure::Cut(CutReason::Length)) } else { Ok(()) }
    }

    /// Begins a call, whose index it returns. Without an id of the provider's it gets one.
    fn begin(&mut self, number: u64, id: &str, name: &str) -> Result<usize, Failure> {
        let id = match id {
            "" => format!("call_{}", Uuid::new_v4().simple()),
            id => id.to_owned(),
        };
        let call = ToolCall { id, name: name.to_owned(), arguments: String::new() };
        if call.size() > self.room() {
            return Err(Failure::Cut(CutReason::Length));
        }
        self.calls.push(CallBuilder { call, number, delivered: None });
        Ok(self.calls.len() - 1)
    }

    /// Names a call that has no name yet.
    fn name(&mut self, index: usize, name: &str) -> Result<(), Failure> {
        let room = self.room();
        let Some(builder) = self.calls.get_mut(index) else { return Ok(()) };
        if builder.call.name.is_empty() {
            if name.len() > room {
                return Err(Failure::Cut(CutReason::Length));
            }
            builder.call.name.push_str(name);
        }
        Ok(())
    }

    /// Whether the answer so far is only white space.
    pub(super) fn is_empty(&self) -> bool {
        self.text.trim().is_empty() && self.calls.is_empty()
    }

    /// Delivers new text, once it is more than white space.
    fn deliver_text(&mut self) {
        if !self.is_empty() {
            self.deliver_rest();
        }
    }

    fn deliver_rest(&mut self) {
        if let Some(news) = self.text.get(self.delivered..).filter(|news| !news.is_empty()) {
            let text = news.to_owned();
            self.delivered = self.text.len();
            self.deliver(Piece { text, ..Piece::default() });
        }
    }

    /// Delivers what is new of a call.
    fn deliver_call(&mut self, index: usize) {
        let Some(builder) = self.calls.get_mut(index) else { return };
        let ToolCall { id, name, arguments } = &builder.call;
        let begins = builder.delivered.is_none().then(|| (id.clone(), name.clone()));
        let news = arguments.get(builder.delivered.unwrap_or(0)..).unwrap_or_default().to_owned();
        if begins.is_some() || !news.is_empty() {
            builder.delivered = Some(arguments.len());
            let call = CallPiece { index, begins, arguments: news };
            self.deliver(Piece { call: Some(call), ..Piece::default() });
        }
    }

    fn deliver(&self, piece: Piece) {
        if let Some(listener) = self.listener {
            // A listener that disconnected misses it; the answer goes on.
            let _ = listener.send(Piece { model: self.model.clone(), ..piece });
            self.anything_delivered.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until the listener has disconnected. Never ends without a listener.
    pub(super) async fn disconnected(&self) {
        match self.listener {
            Some(listener) => listener.closed().await,
            None => std::future::pending().await,
        }
    }

    /// The result. A partial answer is charged once any of it was delivered: otherwise clients
    /// could have answers cut off, or stop them, and pay nothing. A stop is charged even before
    /// that if the request waits for the whole answer, because its client receives no part early,
    /// and if the prompt is long, because reading it is most of the provider's work.
    pub(super) fn answer(
        mut self,
        outcome: Result<(), Failure>,
        prompt: &Prompt,
    ) -> Result<Answer, Failure> {
        let anything_delivered = self.anything_delivered.load(Ordering::Relaxed);
        let (cut, stopped) = match outcome {
            Ok(()) => (self.cut, false),
            Err(Failure::Cut(cut)) if anything_delivered => (Some(cut), false),
            // Earlier releases, which read the same chats, know no other reason.
            Err(Failure::Stopped) if anything_delivered || self.pays_when_stopped => {
                (Some(CutReason::Length), true)
            }
            Err(failure) => return Err(failure),
        };
        if self.is_empty() {
            if !prompt.given && !stopped {
                return Err(Failure::Empty("an empty answer"));
            }
            self.deliver_rest();
        }
        (0..self.calls.len()).for_each(|index| self.deliver_call(index));
        let Self { text, calls, model, usage, .. } = self;
        let calls: Vec<ToolCall> = calls.into_iter().map(|builder| builder.call).collect();
        let of_calls = |call: &ToolCall| call.name.len() + call.arguments.len();
        let bytes = text.len() + calls.iter().map(of_calls).sum::<usize>();
        let usage = usage.unwrap_or_else(|| Usage::estimate(prompt.size(), bytes));
        Ok(Answer { text, calls, model, cut, stopped, usage })
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::ai::Tool;

    /// The parts of calls, each with its number, id, name and arguments, as an answer with this many
    /// calls at most. Asserts that a listener gets the same calls, each with its name at first.
    fn put_together(most: Option<bool>, parts: &[(u64, &str, &str, &str)]) -> Vec<[String; 2]> {
        let tool = Tool { name: "f".into(), description: None, parameters: None, strict: None };
        let prompt = Prompt { tools: vec![tool], parallel_calls: most, ..Prompt::default() };
        let (listener, mut pieces) = unbounded_channel();
        let anything_delivered = AtomicBool::new(false);
        let mut builder =
            AnswerBuilder::new(&prompt, "model", 1000, Some(&listener), &anything_delivered);
        for (number, id, name, arguments) in parts {
            builder.push_call(*number, id, name, arguments).unwrap();
        }
        let calls = builder.answer(Ok(()), &prompt).unwrap().calls;
        let mut delivered: Vec<ToolCall> = Vec::new();
        while let Ok(piece) = pieces.try_recv() {
            let CallPiece { index, begins, arguments } = piece.call.unwrap();
            match begins {
                Some((id, name)) => {
                    assert_eq!(index, delivered.len());
                    delivered.push(ToolCall { id, name, arguments });
                }
                None => delivered[index].arguments.push_str(&arguments),
            }
        }
        assert_eq!(delivered, calls);
        calls.into_iter().map(|call| [call.name, call.arguments]).collect()
    }

    #[test]
    fn call_fragments_are_assembled_in_every_provider_style() {
        let of = |name: &str, arguments: &str| [name.to_owned(), arguments.to_owned()];
        // Whole calls without numbers and ids.
        let parts = [(0, "", "f", r#"{"x":1}"#), (0, "", "g", r#"{"y":2}"#)];
        let both = [of("f", r#"{"x":1}"#), of("g", r#"{"y":2}"#)];
        assert_eq!(put_together(None, &parts), both);
        let parts = [(0, "", "f", "{}"), (0, "", "f", r#"{"y": "#), (0, "", "f", "2}")];
        assert_eq!(put_together(None, &parts), [of("f", "{}"), of("f", r#"{"y": 2}"#)]);
        // A name that comes after the beginning, and none at all.
        let parts = [(0, "a", "", ""), (0, "", "", "{"), (0, "a", "f", "}"), (0, "", "", " ")];
        assert_eq!(put_together(None, &parts), [of("f", "{} ")]);
        assert_eq!(put_together(None, &[(0, "a", "", "{}")]), [of("", "{}")]);
        // One call is allowed. The parts of the others are left out, and those of the first aren't.
        let parts = [
            (0, "a", "f", "{"),
            (0, "b", "g", "["),
            (0, "", "", "1"),
            (0, "b", "", "]"),
            (0, "a", "", "}"),
            (1, "c", "h", "{}"),
            (1, "", "", "{}"),
        ];
        assert_eq!(put_together(Some(false), &parts), [of("f", "{}")]);
    }
}
