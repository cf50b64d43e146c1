//! The product's [OpenTelemetry](https://opentelemetry.io/docs/specs/otel/trace/) traces. A trace
//! records a request or a scheduled run, with its calls to the store and the AI. Traces are
//! recorded and sent only if the operator has configured a collector.
//!
//! A span contains times, counts, and names from the code, the settings or the store. It never
//! contains text from a request, user ids or secrets.

mod export;
mod otlp;
mod parent;

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::clock;
use crate::telemetry::trace::export::Exporter;
pub use crate::telemetry::trace::parent::Parent;

/// The maximum number of spans in one invocation. Further calls are only counted.
const SPANS: usize = 128;

/// Records and sends traces. Cloning is cheap.
#[derive(Clone)]
pub struct Traces(Arc<Recorder>);

struct Recorder {
    exporter: Exporter,
    /// The value of `service.name`.
    service: String,
    /// The share of invocations that are recorded, from 0 to 1.
    share: f64,
    started: AtomicBool,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("service", &self.0.service).finish_non_exhaustive()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trace").field(&self.0.id).finish()
    }
}

/// The part of a trace that one invocation records. Clones share it.
#[derive(Clone)]
pub struct Trace(Arc<Recording>);

struct Recording {
    traces: Traces,
    /// The trace's id, 32 hexadecimal digits.
    id: String,
    /// The id of the span that contains all other spans, 16 hexadecimal digits.
    root: String,
    /// The id of the caller's span.
    parent: Option<String>,
    is_recorded: bool,
    is_first: bool,
    began: Instant,
    /// When the invocation began, as the time since 1970.
    began_at: Duration,
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    function: String,
    ended: Vec<Span>,
    left_out: i64,
}

/// A span that has ended.
struct Span {
    id: String,
    parent: Option<String>,
    name: String,
    kind: Kind,
    /// The start in nanoseconds since 1970.
    from: u128,
    to: u128,
    attributes: Attributes,
    has_failed: bool,
}

/// A span's kind, with its OTLP number.
#[derive(Clone, Copy)]
enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
}

/// A span's attributes, named as in the [semantic
/// conventions](https://opentelemetry.io/docs/specs/semconv/).
pub type Attributes = Vec<(&'static str, Value)>;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A list of strings.
    Texts(Vec<String>),
    /// An integer.
    Number(i64),
    /// A floating-point number.
    Fraction(f64),
    /// A Boolean.
    Flag(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

/// The span of a whole invocation, without its start and end.
pub struct Root {
    /// The function's name.
    pub function: String,
    /// The span's name.
    pub name: String,
    /// The span's attributes.
    pub attributes: Attributes,
    /// True if the invocation failed. A refused request doesn't count as a failure.
    pub has_failed: bool,
    /// True if a client is waiting for the invocation.
    pub is_request: bool,
}

impl Root {
    /// Creates the span for a run that is started by a schedule or a stream. `trigger` is the kind
    /// of event that started the run. If the run failed, `failure` is the failure's code.
    pub fn of_work(function: &str, trigger: &str, failure: Option<&str>) -> Self {
        let mut attributes = vec![("faas.trigger", trigger.into())];
        attributes.extend(failure.map(|code| ("error.type", code.into())));
        Self {
            function: function.to_owned(),
            name: function.to_owned(),
            attributes,
            has_failed: failure.is_some(),
            is_request: false,
        }
    }
}

impl Traces {
    /// Creates a recorder that sends this share of all invocations to the collector at `endpoint`.
    /// Returns `None` if TLS can't be configured. In that case, calls to AWS are impossible as
    /// well.
    pub fn for_endpoint(endpoint: &str, service: &str, share: f64) -> Option<Self> {
        let (exporter, service) = (Exporter::for_endpoint(endpoint)?, service.to_owned());
        Some(Self(Arc::new(Recorder { exporter, service, share, started: AtomicBool::new(false) })))
    }

    /// Starts an invocation's trace. A caller can opt out of recording, but can't request it.
    /// Otherwise an attacker could have every request recorded at the operator's expense.
    pub fn begin(&self, parent: Parent) -> Trace {
        let random = Uuid::new_v4();
        let (drawn, _) = random.as_u64_pair();
        // The upper 32 bits of a UUIDv4 are all random.
        let is_drawn = (drawn >> 32) as f64 / (f64::from(u32::MAX) + 1.0) < self.0.share;
        let now = clock::system_time();
        Trace(Arc::new(Recording {
            id: parent.trace.unwrap_or_else(|| Uuid::new_v4().simple().to_string()),
            root: span_id(),
            parent: parent.span,
            is_recorded: is_drawn && !parent.is_unrecorded,
            is_first: !self.0.started.swap(true, Ordering::Relaxed),
            began: Instant::now(),
            began_at: now,
            spans: Mutex::default(),
            traces: self.clone(),
        }))
    }
}

impl Trace {
    /// Returns the trace's id. Log lines contain the trace's id even if the trace isn't recorded.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Adds a span for a call to another service. The span ends now. If the call failed, `failure`
    /// is the failure's code.
    pub fn call(
        &self,
        name: String,
        began: Instant,
        mut attributes: Attributes,
        failure: Option<&str>,
    ) {
        attributes.extend(failure.map(|code| ("error.type", code.into())));
        self.add(Span {
            id: span_id(),
            parent: Some(self.0.root.clone()),
            name,
            kind: Kind::Client,
            from: self.0.nanos(began),
            to: self.0.nanos(Instant::now()),
            attributes,
            has_failed: failure.is_some(),
        });
    }

    fn add(&self, span: Span) {
        let mut spans = self.0.spans();
        if spans.ended.len() < SPANS {
            spans.ended.push(span);
        } else {
            spans.left_out += 1;
        }
    }

    /// Ends the span of the whole invocation.
    pub fn end(&self, mut root: Root) {
        if !self.0.is_recorded {
            return;
        }
        root.attributes.push(("faas.coldstart", Value::Flag(self.0.is_first)));
        let mut spans = self.0.spans();
        if spans.left_out > 0 {
            root.attributes.push(("farebox.spans_left_out", Value::Number(spans.left_out)));
        }
        spans.function = root.function;
        spans.ended.push(Span {
            id: self.0.root.clone(),
            parent: self.0.parent.clone(),
            name: root.name,
            kind: if root.is_request { Kind::Server } else { Kind::Internal },
            from: self.0.nanos(self.0.began),
            to: self.0.nanos(Instant::now()),
            attributes: root.attributes,
            has_failed: root.has_failed,
        });
    }

    /// Sends the spans that have ended. Waits only briefly, and not at all while the collector is
    /// slow.
    pub async fn send(&self) {
        if let Some(body) = self.0.take() {
            self.0.traces.0.exporter.send(body).await;
        }
    }
}

impl Recording {
    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Converts an instant to the system clock's time. Durations remain correct if the clock is
    /// adjusted.
    fn nanos(&self, at: Instant) -> u128 {
        (self.began_at + at.saturating_duration_since(self.began)).as_nanos()
    }

    /// Returns the ended spans that haven't been sent yet, as OTLP.
    fn take(&self) -> Option<String> {
        let mut spans = self.spans();
        let ended = std::mem::take(&mut spans.ended);
        let service = &self.traces.0.service;
        (!ended.is_empty()).then(|| otlp::request(service, &spans.function, &self.id, &ended))
    }
}

/// Sends the spans that end after the invocation, for example when an answer is settled after its
/// client has disconnected.
impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(body) = self.take() {
            self.traces.0.exporter.send_later(body);
        }
    }
}

/// Returns a random id for a span.
fn span_id() -> String {
    let (_, random) = Uuid::new_v4().as_u64_pair();
    format!("{random:016x}")
}

tokio::task_local! {
    static CURRENT: Trace;
}

/// Runs `work` as part of this trace.
pub async fn scope<F: Future>(trace: Option<&Trace>, mut work: Pin<&mut F>) -> F::Output {
    poll_fn(|context| match trace {
        None => work.as_mut().poll(context),
        Some(trace) => CURRENT.sync_scope(trace.clone(), || work.as_mut().poll(context)),
    })
    .await
}

/// Runs work that was started by a schedule or a stream, and records it in this trace.
pub async fn of_work<T, E>(
    trace: Option<&Trace>,
    (function, trigger): (&str, &str),
    work: impl Future<Output = Result<T, E>>,
    code: impl FnOnce(&E) -> &'static str,
) -> Result<T, E> {
    let done = scope(trace, pin!(work)).await;
    if let Some(trace) = trace {
        trace.end(Root::of_work(function, trigger, done.as_ref().err().map(code)));
        trace.send().await;
    }
    done
}

/// Returns the trace that the current task belongs to.
pub fn current() -> Option<Trace> {
    CURRENT.try_with(Trace::clone).ok()
}

/// Returns the trace that the current task belongs to, if it is recorded.
pub fn recorded() -> Option<Trace> {
    current().filter(|trace| trace.0.is_recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traces(share: f64) -> Traces {
        Traces::for_endpoint("http://127.0.0.1:9", "tests", share).unwrap()
    }

    #[test]
    fn sampling_follows_the_setting_and_callers_can_decline() {
        let unrecorded = Parent { is_unrecorded: true, ..Parent::default() };
        for _ in 0..100 {
            assert!(traces(1.0).begin(Parent::default()).0.is_recorded);
            assert!(!traces(0.0).begin(Parent::default()).0.is_recorded);
            assert!(!traces(1.0).begin(unrecorded.clone()).0.is_recorded);
        }
        // With 10,000 draws, the share is within five standard deviations of the expected share.
        let half = traces(0.5);
        let recorded = (0..10_000).filter(|_| half.begin(Parent::default()).0.is_recorded).count();
        assert!((4750..5250).contains(&recorded), "{recorded}");
    }

    #[test]
    fn traces_limit_their_spans_and_count_the_rest() {
        let trace = traces(1.0).begin(Parent::default());
        for _ in 0..SPANS + 5 {
            trace.call("call".into(), Instant::now(), vec![], None);
        }
        trace.end(Root::of_work("sweep", "timer", None));
        let sent: serde_json::Value = serde_json::from_str(&trace.0.take().unwrap()).unwrap();
        let spans = sent["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap();
        assert_eq!(spans.len(), SPANS + 1);
        let root = spans.last().unwrap().to_string();
        assert!(
            root.contains(r#""key":"farebox.spans_left_out","value":{"intValue":"5"}"#),
            "{root}"
        );
    }

    #[test]
    fn unsampled_traces_record_nothing() {
        let trace = traces(0.0).begin(Parent::default());
        trace.end(Root::of_work("sweep", "timer", None));
        assert!(trace.0.take().is_none());
    }
}
