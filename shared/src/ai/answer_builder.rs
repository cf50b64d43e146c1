//! Collects a provider's answer and delivers its pieces to a listener.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;
use uuid::Uuid;

use crate::ai::ending::Ending;
use crate::ai::tools::CallPiece;
use crate::ai::{Answer, Failure, Prompt};
use crate::values::{
    AnswerMark, BlockOrder, CutReason, Estimates, Final, Reasoning, ReportedUsage, StopDetails,
    TokenEstimate, ToolCall, Usage, is_json_object, lacks_arguments,
};

/// The prompt size, in bytes, above which a streamed answer is charged even if it is stopped before
/// it begins. Each picture adds the same number of bytes to this size as to the size that
/// determines the price.
const LONG_PROMPT: usize = 32_768;

/// The maximum size of an answer with its reasoning in the store, in bytes. With a message of
/// 32,000 characters it still fits into the 400 KB that DynamoDB allows for an item. Only models
/// whose own limit is above the maximum of `ANSWER_LIMIT` can exceed it.
const STORED: usize = 262_144;

/// A piece of a streamed answer. An empty piece means that the model has begun to reason, or to
/// answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// The next part of the text.
    pub text: String,
    /// True if the text is the model's refusal to answer.
    pub is_refusal: bool,
    /// The next part of the model's reasoning.
    pub reasoning: Option<ReasoningPiece>,
    /// The next part of a function call.
    pub call: Option<CallPiece>,
    /// The model that writes the answer.
    pub model: String,
}

/// A piece of a model's reasoning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReasoningPiece {
    /// The next part of the text.
    Text(String),
    /// The signature of the text before it. The next piece begins a new part of the reasoning.
    Signature(String),
    /// The provider of the preceding text failed before it signed the text. The next piece begins a
    /// new part, by another provider.
    Broken,
    /// A whole part of the reasoning, which only the provider can read.
    Encrypted(String),
}

impl Piece {
    /// Returns true if the piece contains nothing of the answer or its reasoning.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.reasoning.is_none() && self.call.is_none()
    }
}

/// A channel that receives each piece of an answer immediately.
pub type Listener = UnboundedSender<Piece>;

/// An answer's progress, which is read by the function that waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// True if the listener received any part of the answer. Reasoning isn't a part of the answer.
    delivered: AtomicBool,
    /// True if the listener received any of the reasoning's text.
    shown: AtomicBool,
    /// When the listener received the first part of the answer or its reasoning.
    begun: OnceLock<Instant>,
    /// True if the provider has ended the answer.
    ended: AtomicBool,
}

impl Progress {
    pub(super) fn is_delivered(&self) -> bool {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(super) fn has_shown_reasoning(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// Returns true if the listener received text of the answer or its reasoning.
    pub(super) fn has_begun(&self) -> bool {
        self.is_delivered() || self.has_shown_reasoning()
    }

    /// Returns when the listener received the first part of the answer or its reasoning. `None` if
    /// there is no listener.
    pub(super) fn begun(&self) -> Option<Instant> {
        self.begun.get().copied()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// Why an answer is no longer read.
pub(super) enum Close {
    /// The reply was read completely, or reading it failed.
    Read(Result<(), Failure>),
    /// The time for the answer has run out.
    TimeOver,
    /// The user stopped the answer.
    Stopped,
}

/// An answer that failed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    pub(super) failure: Failure,
    /// How many model tokens the provider has used, as far as this is known. `None` if the provider
    /// probably hasn't done any work.
    pub(super) worked: Option<Usage>,
}

/// The answer that a provider has sent so far, and the listener for its pieces.
pub(super) struct AnswerBuilder<'l> {
    text: String,
    /// True if the text contains more than white space.
    is_visible: bool,
    /// True if the text is the model's refusal to answer.
    is_refusal: bool,
    calls: Vec<CallBuilder>,
    /// The maximum number of function calls in the answer. Calls beyond the maximum are dropped.
    most_calls: usize,
    /// The numbers of the calls that were dropped.
    left_out: HashSet<u64>,
    pub(super) limit: usize,
    listener: Option<&'l Listener>,
    /// How many bytes of the text have been delivered. Leading white space is held back until
    /// visible text follows. An answer that is only white space is delivered when it ends, unless
    /// it is refused as empty.
    delivered: usize,
    pub(super) progress: &'l Progress,
    /// True if a stopped chat counts as answered even if nothing was delivered.
    pays_when_stopped: bool,
    pub(super) model: String,
    /// `None` until the provider ends the answer. Afterwards `Some`, with the reason if the answer
    /// is cut off, and with `None` if it is complete.
    ended: Option<Option<CutReason>>,
    /// True if the provider has said why its model ended the turn.
    ends_turn: bool,
    /// The token counts that the provider has reported so far.
    usage: ReportedUsage,
    /// The estimated model tokens in the text, the calls and the visible reasoning that the
    /// provider has sent so far.
    received: TokenEstimate,
    /// The estimate at the time of the provider's last report.
    received_at_number: Option<usize>,
    /// The reasoning, up to the limit.
    reasoning: Vec<Reasoning>,
    /// True if the last part of the reasoning is complete, so that further text begins a new part.
    is_reasoned: bool,
    /// True if some of the reasoning exceeded the limit. Its signature would be invalid.
    is_reasoning_cut: bool,
    /// True if the listener was told that the model has begun.
    has_begun: bool,
    /// True if the client doesn't get the reasoning.
    hides_reasoning: bool,
    /// The order of the blocks so far, as they were delivered. `None` if the client's API has no
    /// blocks.
    marks: Option<Vec<AnswerMark>>,
    /// Details of the answer's end.
    stop_details: StopDetails,
    /// True if the function closed the answer before its provider ended it.
    is_closed: bool,
    /// True if the listener received reasoning from a provider that has failed.
    pub(super) follows_reasoning: bool,
}

/// The arguments of some models' calls without arguments.
const NULL: &str = "null";

/// A function call that may not be complete yet.
struct CallBuilder {
    call: ToolCall,
    /// The id that the provider gave to the call. Empty if it gave none. The call has a different
    /// id if the provider has given this one to an earlier call.
    given_id: String,
    /// The number that the provider gave to the call. Some providers give all calls the same
    /// number.
    number: u64,
    /// How many bytes of the arguments have been delivered. `None` until the start of the call has
    /// been delivered.
    delivered: Option<usize>,
}

impl CallBuilder {
    /// Returns true if a part with the same number belongs to this call. `id` and `name` are empty
    /// if the part lacks them. Some providers send a new id with each part of a call, some don't
    /// send ids, and some give all calls the same id.
    fn continues(&self, id: &str, name: &str, arguments: &str) -> bool {
        let known = self.call.name.as_str();
        let is_whole = || is_json_object(&self.call.arguments) || self.is_null();
        let begins_again = || known != name || is_whole();
        match (id, name) {
            (_, "") => true,
            ("", _) => known.is_empty() || !begins_again(),
            (id, _) if self.given_id != id => false,
            _ => known.is_empty() || arguments.trim().is_empty() || !begins_again(),
        }
    }

    /// Returns true if the arguments are the text `null`, which some models send for a function
    /// without parameters.
    fn is_null(&self) -> bool {
        self.call.arguments.trim() == NULL
    }

    /// Returns the part of the arguments that may be delivered before the call's end: nothing while
    /// they may still become `null`.
    fn deliverable(&self) -> usize {
        match NULL.starts_with(self.call.arguments.trim()) {
            true => 0,
            false => self.call.arguments.len(),
        }
    }
}

impl<'l> AnswerBuilder<'l> {
    /// Starts an answer of at most `limit` bytes to this prompt by this model.
    pub(super) fn new(
        prompt: &Prompt,
        model: &str,
        limit: usize,
        listener: Option<&'l Listener>,
        progress: &'l Progress,
    ) -> Self {
        let most_calls = match prompt.parallel_calls {
            _ if !prompt.offers_calls() => 0,
            Some(false) => 1,
            _ => usize::MAX,
        };
        Self {
            text: String::new(),
            is_visible: false,
            is_refusal: false,
            calls: Vec::new(),
            most_calls,
            left_out: HashSet::new(),
            limit,
            listener,
            delivered: 0,
            progress,
            pays_when_stopped: listener.is_none() || prompt.own_size() > LONG_PROMPT,
            model: model.to_owned(),
            ended: None,
            ends_turn: false,
            usage: ReportedUsage::default(),
            received: TokenEstimate::default(),
            received_at_number: None,
            reasoning: Vec::new(),
            is_reasoned: true,
            is_reasoning_cut: false,
            has_begun: false,
            hides_reasoning: prompt.hides_reasoning,
            marks: prompt.has_blocks.then(Vec::new),
            stop_details: StopDetails::default(),
            is_closed: false,
            follows_reasoning: false,
        }
    }

    /// Records how the provider ended the answer. Only the first call has an effect.
    ///
    /// # Errors
    /// Returns an error if the provider says that the answer has failed.
    pub(super) fn end(&mut self, ending: Ending) -> Result<(), Failure> {
        let cut = match ending {
            _ if self.has_ended() => return Ok(()),
            Ending::Complete => None,
            Ending::Cut(cut) => Some(cut),
            Ending::ContextFull => {
                self.stop_details.is_context_full = true;
                Some(CutReason::Length)
            }
            Ending::Failed(word) => return Err(Failure::Ended(word)),
        };
        self.ended = Some(cut);
        self.progress.ended.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Like [`end`](Self::end), for providers that say why each turn ends. Such a turn may be empty:
    /// Claude has nothing to add to some results of functions.
    ///
    /// # Errors
    /// Returns an error if the provider says that the answer has failed.
    pub(super) fn end_turn(&mut self, ending: Ending) -> Result<(), Failure> {
        self.ends_turn |= !self.has_ended();
        self.end(ending)
    }

    /// Records details of the answer's end. Call this function before [`end`](Self::end).
    pub(super) fn detail_stop(&mut self, details: StopDetails) {
        if !self.has_ended() {
            self.stop_details = details;
        }
    }

    /// Returns true if the provider has ended the answer.
    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    /// Records the token counts that the provider reports. Call this function only after adding the
    /// parts of the answer that the counts include.
    pub(super) fn count(&mut self, usage: ReportedUsage) {
        self.usage.replace_with(usage);
        if usage.completion.is_some_and(|number| number > 0) {
            self.received_at_number = Some(self.received.tokens());
        }
    }

    /// Estimates the model tokens in everything that the provider has sent so far.
    pub(super) fn received(&self) -> usize {
        self.received.tokens()
    }

    /// Returns true if the provider's last report includes everything that has arrived.
    pub(super) fn has_final_numbers(&self) -> bool {
        self.received_at_number == Some(self.received())
    }

    /// Tells the listener that the model has begun.
    pub(super) fn begin_reply(&mut self) {
        if !self.has_begun {
            self.has_begun = true;
            self.send(Piece::default());
        }
    }

    /// Adds a piece of the model's reasoning. The listener gets all of it. The answer contains the
    /// beginning, up to the limit.
    pub(super) fn push_reasoning(&mut self, piece: &str) {
        self.begin_reply();
        if piece.is_empty() {
            return;
        }
        self.received.push(piece);
        self.begin_reasoning();
        let fits = piece.get(..piece.floor_char_boundary(self.reasoning_room()));
        let fits = fits.filter(|_| !self.is_reasoning_cut).unwrap_or_default();
        self.is_reasoning_cut |= fits.len() < piece.len();
        if let Some(part) = self.reasoning.last_mut() {
            part.text.push_str(fits);
        }
        self.show(ReasoningPiece::Text(piece.to_owned()));
    }

    /// Adds the signature of the reasoning before it. Some providers sign reasoning without showing
    /// its text.
    pub(super) fn sign_reasoning(&mut self, signature: &str) {
        self.begin_reply();
        self.begin_reasoning();
        self.is_reasoned = true;
        self.is_reasoning_cut |= signature.len() > self.reasoning_room();
        if let Some(part) = self.reasoning.last_mut().filter(|_| !self.is_reasoning_cut) {
            part.signature = Some(signature.to_owned());
        }
        self.show(ReasoningPiece::Signature(signature.to_owned()));
    }

    /// Adds a part of the reasoning that only the provider can read.
    pub(super) fn push_encrypted(&mut self, encrypted: &str) {
        self.begin_reply();
        self.is_reasoned = true;
        self.push_part(Reasoning { encrypted: Some(encrypted.to_owned()), ..Reasoning::default() });
        self.show(ReasoningPiece::Encrypted(encrypted.to_owned()));
    }

    /// Begins a new part of the reasoning if the last part is complete.
    fn begin_reasoning(&mut self) {
        if std::mem::take(&mut self.is_reasoned) {
            self.push_part(Reasoning::default());
        }
    }

    /// Adds a part of the reasoning if it fits. Otherwise the reasoning ends here.
    fn push_part(&mut self, part: Reasoning) {
        self.is_reasoning_cut |= part.size() > self.reasoning_room();
        if !self.is_reasoning_cut {
            self.reasoning.push(part);
            self.mark(AnswerMark::Reasoning);
        }
    }

    /// Records that a block begins, or that the text continues.
    fn mark(&mut self, mark: AnswerMark) {
        if let Some(marks) = &mut self.marks {
            mark.push(marks);
        }
    }

    /// Returns the number of bytes that may still be added to the stored reasoning.
    fn reasoning_room(&self) -> usize {
        self.limit.saturating_sub(self.reasoning.iter().map(Reasoning::size).sum())
    }

    /// Drops the parts of the reasoning that can't be stored together with the answer, and all parts
    /// after them.
    fn drop_long_reasoning(&mut self) {
        let answer = self.limit.saturating_sub(self.room());
        let mut room = STORED.saturating_sub(answer);
        let before = self.reasoning.len();
        self.reasoning.retain(|part| {
            let rest = room.checked_sub(part.size());
            room = rest.unwrap_or(0);
            rest.is_some()
        });
        // Each part has a mark, so the marks no longer match. Without marks, the blocks have the
        // usual order.
        if let Some(marks) = self.marks.as_mut().filter(|_| self.reasoning.len() < before) {
            marks.clear();
        }
    }

    /// Sends reasoning to the listener, unless the client doesn't get it.
    fn show(&mut self, piece: ReasoningPiece) {
        if self.hides_reasoning {
            return;
        }
        if std::mem::take(&mut self.follows_reasoning) {
            let broken = Some(ReasoningPiece::Broken);
            self.send(Piece { reasoning: broken, ..Piece::default() });
        }
        if matches!(piece, ReasoningPiece::Text(_)) {
            self.progress.shown.store(self.listener.is_some(), Ordering::Relaxed);
            self.time_beginning();
        }
        self.send(Piece { reasoning: Some(piece), ..Piece::default() });
    }

    /// Returns true if there is a listener.
    pub(super) fn has_listener(&self) -> bool {
        self.listener.is_some()
    }

    /// Returns the number of bytes that may still be added to the answer.
    fn room(&self) -> usize {
        let calls: usize = self.calls.iter().map(|builder| builder.call.size()).sum();
        self.limit.saturating_sub(self.text.len() + calls)
    }

    /// Adds a piece of the text, up to the limit.
    pub(super) fn push_text(&mut self, piece: &str) -> Result<(), Failure> {
        let fits = piece.get(..piece.floor_char_boundary(self.room())).unwrap_or_default();
        self.received.push(fits);
        self.text.push_str(fits);
        self.is_visible |= !fits.trim().is_empty();
        self.deliver_text();
        if fits.len() < piece.len() { Err(Failure::TooLong) } else { Ok(()) }
    }

    /// Adds a piece of the model's refusal to answer, up to the limit. If a part of the text was
    /// already delivered as an answer, the refusal continues that text.
    pub(super) fn push_refusal(&mut self, piece: &str) -> Result<(), Failure> {
        self.is_refusal |= self.delivered == 0 && !piece.trim().is_empty();
        self.push_text(piece)
    }

    /// Adds a part of a call, up to the limit. `id` and `name` are empty if this part lacks them.
    /// `number` is the number that the provider gave to the call.
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
            .filter(|(_, builder)| builder.continues(id, name, arguments))
            .map(|(index, builder)| (index, builder.given_id == id));
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
        self.received.push(fits);
        if let Some(builder) = self.calls.get_mut(index) {
            builder.call.arguments.push_str(fits);
        }
        self.deliver_rest();
        // Without the call's name, a listener couldn't use the part.
        if let Some(builder) = self.calls.get(index).filter(|builder| !builder.call.name.is_empty())
        {
            self.deliver_call(index, builder.deliverable());
        }
        if fits.len() < arguments.len() { Err(Failure::TooLong) } else { Ok(()) }
    }

    /// Begins a call and returns its index. The call gets a new id if the provider gave it none, or
    /// gave an earlier call the same one: clients send an id with each result, and couldn't tell
    /// the calls apart.
    fn begin(&mut self, number: u64, given_id: &str, name: &str) -> Result<usize, Failure> {
        let is_used = |id: &str| self.calls.iter().any(|builder| builder.call.id == id);
        let id = match given_id {
            id if id.is_empty() || is_used(id) => format!("call_{}", Uuid::new_v4().simple()),
            id => id.to_owned(),
        };
        let given_id = given_id.to_owned();
        let call = ToolCall { id, name: name.to_owned(), arguments: String::new() };
        if call.size() > self.room() {
            return Err(Failure::TooLong);
        }
        self.received.push(name);
        self.calls.push(CallBuilder { call, given_id, number, delivered: None });
        Ok(self.calls.len() - 1)
    }

    /// Sets the name of a call that doesn't have a name yet.
    fn name(&mut self, index: usize, name: &str) -> Result<(), Failure> {
        let room = self.room();
        let Some(builder) = self.calls.get_mut(index) else { return Ok(()) };
        if builder.call.name.is_empty() {
            if name.len() > room {
                return Err(Failure::TooLong);
            }
            builder.call.name.push_str(name);
            self.received.push(name);
        }
        Ok(())
    }

    /// Returns true if the answer doesn't contain any visible text or calls yet.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_visible && self.calls.is_empty()
    }

    /// Returns true if any of the answer or its reasoning has arrived.
    pub(super) fn has_content(&self) -> bool {
        !self.text.is_empty() || !self.calls.is_empty() || !self.reasoning.is_empty()
    }

    /// Delivers new text, unless the whole text is still only white space.
    fn deliver_text(&mut self) {
        if !self.is_empty() {
            self.deliver_rest();
        }
    }

    fn deliver_rest(&mut self) {
        if let Some(news) = self.text.get(self.delivered..).filter(|news| !news.is_empty()) {
            let text = news.to_owned();
            self.delivered = self.text.len();
            self.mark(AnswerMark::Text(text.len()));
            self.deliver(Piece { text, is_refusal: self.is_refusal, ..Piece::default() });
        }
    }

    /// Delivers the new part of a call, up to this length of its arguments.
    fn deliver_call(&mut self, index: usize, end: usize) {
        let Some(builder) = self.calls.get_mut(index) else { return };
        let ToolCall { id, name, arguments } = &builder.call;
        let begins = builder.delivered.is_none().then(|| (id.clone(), name.clone()));
        let news =
            arguments.get(builder.delivered.unwrap_or(0)..end).unwrap_or_default().to_owned();
        if begins.is_some() || !news.is_empty() {
            builder.delivered = Some(end);
            if begins.is_some() {
                self.mark(AnswerMark::Call);
            }
            let call = CallPiece { index, begins, arguments: news };
            self.deliver(Piece { call: Some(call), ..Piece::default() });
        }
    }

    /// Delivers a piece of the text or of a call, which ends the part of the reasoning before it.
    fn deliver(&mut self, piece: Piece) {
        self.is_reasoned = true;
        self.send(piece);
        self.progress.delivered.store(self.listener.is_some(), Ordering::Relaxed);
        self.time_beginning();
    }

    /// Records the time of the first part that the listener receives.
    fn time_beginning(&self) {
        if self.listener.is_some() {
            self.progress.begun.get_or_init(Instant::now);
        }
    }

    fn send(&self, piece: Piece) {
        if let Some(listener) = self.listener {
            // The answer continues even if the listener has disconnected.
            let _ = listener.send(Piece { model: self.model.clone(), ..piece });
        }
    }

    /// Completes when the listener has disconnected. If there is no listener, never completes.
    pub(super) async fn disconnected(&self) {
        match self.listener {
            Some(listener) => listener.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Returns the finished answer. If the provider has ended the answer, later events don't change
    /// it. Otherwise the answer is the text that was delivered before the connection was closed.
    ///
    /// A partial answer is charged if any part of it was delivered, or any reasoning, which may
    /// contain the answer. Otherwise clients could have their answers cut off, or stop them, without
    /// paying. In two cases, a stopped answer is charged even if nothing was delivered. In the
    /// first, the request waits for the whole answer, so its client never receives a part early. In
    /// the second, the prompt is long, so reading it is most of the provider's work.
    ///
    /// If the provider's filter ended the answer, the text before that point is the answer. `/v1`
    /// also accepts an answer that the filter left empty, because its clients expect it. Otherwise,
    /// an empty answer is accepted only if the model has worked on it.
    ///
    /// # Errors
    /// Otherwise returns why there is no answer. A part that was delivered before the provider
    /// failed doesn't count as an answer.
    pub(super) fn answer(mut self, close: Close, prompt: &Prompt) -> Result<Answer, Unanswered> {
        let has_begun = self.progress.has_begun();
        self.is_closed = self.ended.is_none() && !matches!(close, Close::Read(_));
        let length = Some(CutReason::Length);
        let (cut, stopped) = match (close, self.ended) {
            (_, Some(cut)) => (cut, false),
            (Close::Read(Ok(())), None) => (None, false),
            (Close::Read(Err(Failure::TooLong)), None) if has_begun => (length, false),
            (Close::Read(Err(failure)), None) => return Err(self.failed(failure, prompt)),
            (Close::TimeOver, None) if has_begun => (length, false),
            (Close::TimeOver, None) => return Err(self.failed(Failure::TimedOut, prompt)),
            // Use `Length`, because earlier releases also read stored chats, and it is the closest
            // reason that they support.
            (Close::Stopped, None) if has_begun || self.pays_when_stopped => (length, true),
            (Close::Stopped, None) => return Err(self.failed(Failure::Stopped, prompt)),
        };
        let closed = cut.is_some() && self.ended.is_none();
        // Without the name, clients couldn't run the function.
        if cut.is_none() && self.calls.iter().any(|builder| builder.call.name.is_empty()) {
            return Err(self.failed(Failure::failed("a function call without a name"), prompt));
        }
        self.calls.retain(|builder| !builder.call.name.is_empty());
        if self.is_empty() {
            let failure = match cut {
                _ if stopped || has_begun => None,
                Some(CutReason::Length) => None,
                Some(CutReason::ContentFilter) if prompt.given => None,
                Some(CutReason::ContentFilter) => Some(Failure::Filtered),
                None if self.has_worked(prompt) => None,
                None => Some(Failure::Empty("an empty answer")),
            };
            if let Some(failure) = failure {
                return Err(self.failed(failure, prompt));
            }
            self.deliver_rest();
        }
        for index in 0..self.calls.len() {
            let Some(builder) = self.calls.get_mut(index) else { continue };
            let arguments = &mut builder.call.arguments;
            // A function without parameters may be called without arguments. Clients expect an
            // object.
            if cut.is_none() && lacks_arguments(arguments) {
                "{}".clone_into(arguments);
            }
            let end = arguments.len();
            self.deliver_call(index, end);
        }
        let usage = self.usage(prompt);
        self.drop_long_reasoning();
        let Self { text, is_refusal: refused, reasoning, calls, model, marks, .. } = self;
        let stop_details = self.stop_details.or_none().filter(|_| marks.is_some());
        let blocks = marks.as_deref().and_then(BlockOrder::of);
        let calls: Vec<ToolCall> = calls.into_iter().map(|builder| builder.call).collect();
        Ok(Answer {
            text,
            refused,
            reasoning,
            calls,
            blocks,
            model,
            cut,
            stop_details,
            stopped,
            closed,
            usage,
        })
    }

    /// Returns true if the model has ended an empty answer deliberately: the provider says why, the
    /// model may have reached a stop sequence, or it has generated tokens or calls that aren't shown.
    /// Callers choose the stop sequences, and could otherwise get refunds at will.
    fn has_worked(&self, prompt: &Prompt) -> bool {
        let counted = [self.usage.completion, self.usage.reasoning];
        self.ends_turn
            || !prompt.stop.is_empty()
            || !self.left_out.is_empty()
            || !self.reasoning.is_empty()
            || counted.into_iter().flatten().any(|tokens| tokens > 0)
    }

    /// Returns the failure. If the provider may have done any work, adds the token counts.
    fn failed(&self, failure: Failure, prompt: &Prompt) -> Unanswered {
        let has_worked = failure.may_have_worked() || self.received() > 0;
        let worked = has_worked.then(|| self.usage(prompt));
        Unanswered { failure, worked }
    }

    /// Returns the token counts. The provider's counts are exact if they arrived after the last
    /// part of the answer. If more parts have arrived since, the counts are too low, and the
    /// estimate is used if it is higher. Counts from the beginning of a reply, as Anthropic sends
    /// them, are also too low if the function closed the reply: the model may have reasoned without
    /// showing it.
    fn usage(&self, prompt: &Prompt) -> Usage {
        let received = self.received();
        let (numbers, estimate) = match (self.usage.completion, self.received_at_number) {
            (Some(number), Some(at)) if at < received => (Final::No, at_rate(received, number, at)),
            _ if self.is_closed && received == 0 => (Final::No, 0),
            _ => (Final::Yes, received),
        };
        self.usage.usage(Estimates::new(prompt.estimated_tokens(), estimate), numbers)
    }
}

/// The smallest estimate, in model tokens, that is large enough to be compared with the provider's
/// own count.
const ENOUGH: usize = 64;

/// If the provider has counted fewer tokens than the estimate so far, scales the estimate down by
/// the same factor. Thus a part of an answer never costs more than the whole answer would have
/// cost. The provider counted `number` model tokens when the estimate was `at`.
fn at_rate(estimate: usize, number: u64, at: usize) -> usize {
    let number = usize::try_from(number).unwrap_or(usize::MAX);
    match at {
        at if at >= ENOUGH && number < at => {
            estimate.checked_mul(number).map_or(estimate, |product| product / at)
        }
        _ => estimate,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::ai::Tool;

    /// Builds an answer from parts of calls, each with its number, id, name and arguments. Returns
    /// the calls. Asserts that a listener receives the same calls, and each call's name first.
    fn put_together(most: Option<bool>, parts: &[(u64, &str, &str, &str)]) -> Vec<[String; 2]> {
        let tool = Tool { name: "f".into(), ..Tool::default() };
        let prompt = Prompt { tools: vec![tool], parallel_calls: most, ..Prompt::default() };
        let (listener, mut pieces) = unbounded_channel();
        let progress = Progress::default();
        let mut builder = AnswerBuilder::new(&prompt, "model", 1000, Some(&listener), &progress);
        for (number, id, name, arguments) in parts {
            builder.push_call(*number, id, name, arguments).unwrap();
        }
        let calls = builder.answer(Close::Read(Ok(())), &prompt).unwrap().calls;
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
    fn stored_reasoning_is_bounded_and_not_signed_after_the_cut() {
        let (prompt, progress) = (Prompt::default(), Progress::default());
        let (listener, mut pieces) = unbounded_channel();
        let mut builder = AnswerBuilder::new(&prompt, "model", 100, Some(&listener), &progress);
        builder.push_reasoning("Let me think.");
        builder.sign_reasoning("s");
        builder.push_reasoning(&"é".repeat(50));
        for _ in 0..9 {
            builder.sign_reasoning("t");
            builder.push_encrypted("e");
            builder.push_reasoning("x");
        }
        builder.push_text("Hello.").unwrap();
        let reasoning = builder.answer(Close::Read(Ok(())), &prompt).unwrap().reasoning;
        let part = |text: &str, signature: Option<&str>| Reasoning {
            text: text.to_owned(),
            signature: signature.map(str::to_owned),
            encrypted: None,
        };
        assert_eq!(reasoning, [part("Let me think.", Some("s")), part("ééé", None)]);
        assert!(reasoning.iter().map(Reasoning::size).sum::<usize>() <= 100);
        let mut heard = String::new();
        while let Ok(piece) = pieces.try_recv() {
            if let Some(ReasoningPiece::Text(text)) = piece.reasoning {
                heard.push_str(&text);
            }
        }
        assert_eq!(heard, format!("Let me think.{}{}", "é".repeat(50), "x".repeat(9)));
    }

    #[test]
    fn reasoning_that_cannot_be_stored_with_its_answer_is_dropped() {
        let prompt = Prompt { given: true, ..Prompt::default() };
        for (thoughts, answer, kept) in [
            ([100_000, 100_000], 60_000, 2),
            ([100_000, 100_000], 100_000, 1),
            ([200_000, 10], 100_000, 0),
            ([10, 200_000], STORED, 0),
        ] {
            let progress = Progress::default();
            let mut builder = AnswerBuilder::new(&prompt, "model", STORED, None, &progress);
            for bytes in thoughts {
                builder.push_reasoning(&"t".repeat(bytes));
                builder.sign_reasoning("s");
            }
            builder.push_text(&"x".repeat(answer)).unwrap();
            let answered = builder.answer(Close::Read(Ok(())), &prompt).unwrap();
            let reasoning: usize = answered.reasoning.iter().map(Reasoning::size).sum();
            assert_eq!((answered.text.len(), answered.reasoning.len()), (answer, kept));
            assert!(answer + reasoning <= STORED, "{thoughts:?}");
        }
    }

    #[test]
    fn blocks_keep_the_order_in_which_they_are_delivered() {
        let tool = Tool { name: "f".into(), ..Tool::default() };
        let build = |has_blocks: bool| {
            let prompt = Prompt { tools: vec![tool.clone()], has_blocks, ..Prompt::default() };
            let progress = Progress::default();
            let mut builder = AnswerBuilder::new(&prompt, "model", 1000, None, &progress);
            // White space is delivered with the text that follows it.
            builder.push_text("\n").unwrap();
            builder.push_reasoning("One.");
            builder.sign_reasoning("s");
            builder.push_text("Well").unwrap();
            builder.push_text(", ").unwrap();
            builder.push_encrypted("e");
            builder.push_call(0, "a", "f", "{").unwrap();
            builder.push_text("then.").unwrap();
            builder.push_call(0, "", "", "}").unwrap();
            builder.push_call(1, "b", "f", "{}").unwrap();
            builder.answer(Close::Read(Ok(())), &prompt).unwrap()
        };
        let marks = [
            AnswerMark::Reasoning,
            AnswerMark::Text(7),
            AnswerMark::Reasoning,
            AnswerMark::Call,
            AnswerMark::Text(5),
            AnswerMark::Call,
        ];
        assert_eq!(build(true).blocks, BlockOrder::of(&marks));
        assert_eq!(build(false).blocks, None);
    }

    #[test]
    fn refusals_are_marked_unless_an_answer_was_delivered() {
        let prompt = Prompt::default();
        for (answer, refusal, is_refusal) in [
            ("", "I can't.", true),
            (" \n", "I can't.", true),
            ("Well, ", "I can't.", false),
            ("Well.", " ", false),
            ("Well.", "", false),
        ] {
            let (listener, mut pieces) = unbounded_channel();
            let progress = Progress::default();
            let mut builder =
                AnswerBuilder::new(&prompt, "model", 1000, Some(&listener), &progress);
            builder.push_text(answer).unwrap();
            builder.push_refusal(refusal).unwrap();
            let answered = builder.answer(Close::Read(Ok(())), &prompt).unwrap();
            assert_eq!(answered.text, format!("{answer}{refusal}"));
            assert_eq!(answered.refused, is_refusal, "{answer:?} and {refusal:?}");
            while let Ok(piece) = pieces.try_recv() {
                assert_eq!(piece.is_refusal, is_refusal, "{piece:?}");
            }
        }
    }

    #[test]
    fn call_fragments_are_assembled_in_every_provider_style() {
        let of = |name: &str, arguments: &str| [name.to_owned(), arguments.to_owned()];
        // The provider sends whole calls without numbers and ids.
        let parts = [(0, "", "f", r#"{"x":1}"#), (0, "", "g", r#"{"y":2}"#)];
        let both = [of("f", r#"{"x":1}"#), of("g", r#"{"y":2}"#)];
        assert_eq!(put_together(None, &parts), both);
        let parts = [(0, "", "f", "{}"), (0, "", "f", r#"{"y": "#), (0, "", "f", "2}")];
        assert_eq!(put_together(None, &parts), [of("f", "{}"), of("f", r#"{"y": 2}"#)]);
        // A function's name may arrive after the call's beginning.
        let parts = [(0, "a", "", ""), (0, "", "", "{"), (0, "a", "f", "}"), (0, "", "", " ")];
        assert_eq!(put_together(None, &parts), [of("f", "{} ")]);
        // A function may be called without arguments.
        for pieces in [&[""][..], &["null"], &["nu", "ll"], &[" ", "null", "\n"], &[" "]] {
            let parts: Vec<_> = pieces.iter().map(|piece| (0, "a", "f", *piece)).collect();
            assert_eq!(put_together(None, &parts), [of("f", "{}")], "{pieces:?}");
        }
        // Only whole arguments can be `null`.
        let parts = [r#"{"city":"#, " null", r#","text":"x"#, " null", r#""}"#];
        let parts = parts.map(|piece| (0, "a", "f", piece));
        let text = parts.map(|part| part.3).concat();
        assert_eq!(put_together(None, &parts), [of("f", &text)]);
        assert_eq!(
            put_together(None, &[(0, "a", "f", "nul"), (0, "", "", "x")]),
            [of("f", "nulx")]
        );
        // Two whole calls of the same function.
        let parts = [(0, "", "f", "null"), (0, "", "f", r#"{"y":2}"#)];
        assert_eq!(put_together(None, &parts), [of("f", "{}"), of("f", r#"{"y":2}"#)]);
        // Only one call is allowed, so the parts of all other calls are dropped.
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

    /// Stops a streamed answer for which the provider has sent only its first counts and this
    /// reasoning.
    fn stopped(prompt: &Prompt, reasoning: &[&str]) -> Result<Answer, Unanswered> {
        ended(prompt, reasoning, None, Close::Stopped)
    }

    /// Ends a streamed answer for which the provider has sent only its first counts and this
    /// reasoning.
    fn ended(
        prompt: &Prompt,
        reasoning: &[&str],
        ending: Option<Ending>,
        close: Close,
    ) -> Result<Answer, Unanswered> {
        let (listener, _pieces) = unbounded_channel();
        let progress = Progress::default();
        let mut builder = AnswerBuilder::new(prompt, "model", 1000, Some(&listener), &progress);
        builder.count(ReportedUsage {
            prompt: Some(7),
            completion: Some(1),
            ..ReportedUsage::default()
        });
        reasoning.iter().for_each(|text| builder.push_reasoning(text));
        builder.sign_reasoning("signature");
        if let Some(ending) = ending {
            builder.end(ending).unwrap();
        }
        builder.answer(close, prompt)
    }

    #[test]
    fn counts_from_the_beginning_are_not_exact_after_a_stop() {
        let prompt = Prompt::after(Vec::new(), "hi");
        let worked = stopped(&prompt, &[]).unwrap_err().worked.unwrap();
        assert_eq!((worked.prompt_tokens, worked.estimated), (7, true));
        let answer = stopped(&prompt, &["a long thought"]).unwrap();
        assert!(answer.stopped && answer.usage.estimated && answer.usage.completion_tokens > 1);
    }

    #[test]
    fn answers_that_end_after_shown_reasoning_are_charged() {
        type Closing = fn() -> Close;
        let (length, filter) = (CutReason::Length, CutReason::ContentFilter);
        let prompt = Prompt::after(Vec::new(), "hi");
        let hides = Prompt { hides_reasoning: true, ..prompt.clone() };
        let too_long = || Close::Read(Err(Failure::TooLong));
        let closes: [(Option<Ending>, Closing, Option<CutReason>); 5] = [
            (None, || Close::TimeOver, Some(length)),
            (None, too_long, Some(length)),
            (Some(Ending::Complete), || Close::Read(Ok(())), None),
            (Some(Ending::Cut(length)), || Close::Read(Ok(())), Some(length)),
            (Some(Ending::Cut(filter)), || Close::Read(Ok(())), Some(filter)),
        ];
        for (ending, close, cut) in closes {
            let answer = ended(&prompt, &["a long thought"], ending, close()).unwrap();
            assert_eq!((answer.text.as_str(), answer.cut, answer.stopped), ("", cut, false));
            assert!(answer.usage.completion_tokens > 1, "{ending:?}");
            // Signatures alone show nothing. A complete answer, and one that has reached its maximum
            // length, is finished if the model has reasoned.
            let hidden = ended(&hides, &["a long thought"], ending, close());
            let is_finished =
                matches!(ending, Some(Ending::Complete | Ending::Cut(CutReason::Length)));
            assert_eq!(hidden.is_ok(), is_finished, "{ending:?}");
            let nothing = ended(&prompt, &[], ending, close());
            assert_eq!(nothing.is_ok(), is_finished, "{ending:?}");
            for unanswered in [hidden, nothing].into_iter().filter_map(Result::err) {
                assert!(unanswered.worked.is_some(), "{ending:?}: free work");
            }
        }
        let broken = || Close::Read(Err(Failure::failed("broken off")));
        let unanswered = ended(&prompt, &["a long thought"], None, broken()).unwrap_err();
        assert!(unanswered.worked.is_some(), "the provider failed");
    }

    #[test]
    fn reasoning_after_a_failed_provider_begins_a_new_part() {
        let prompt = Prompt::after(Vec::new(), "hi");
        let (listener, mut pieces) = unbounded_channel();
        let progress = Progress::default();
        let mut builder = AnswerBuilder::new(&prompt, "model", 1000, Some(&listener), &progress);
        builder.follows_reasoning = true;
        builder.push_reasoning("Hm.");
        builder.sign_reasoning("signature");
        let mut heard = Vec::new();
        while let Ok(piece) = pieces.try_recv() {
            heard.extend(piece.reasoning);
        }
        let text = ReasoningPiece::Text("Hm.".into());
        let signature = ReasoningPiece::Signature("signature".into());
        assert_eq!(heard, [ReasoningPiece::Broken, text, signature]);
        let answer = builder.answer(Close::Read(Ok(())), &prompt).unwrap();
        assert_eq!(answer.reasoning.len(), 1);
    }

    #[test]
    fn stops_are_free_if_the_client_gets_no_reasoning() {
        let prompt = Prompt { hides_reasoning: true, ..Prompt::after(Vec::new(), "hi") };
        let unanswered = stopped(&prompt, &["a long thought"]).unwrap_err();
        assert_eq!(unanswered.failure, Failure::Stopped);
        assert!(unanswered.worked.unwrap().completion_tokens > 1, "as free work");
    }
}
