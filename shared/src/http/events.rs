//! Server-sent events ([format](https://html.spec.whatwg.org/multipage/server-sent-events.html)).

use std::fmt::Display;
use std::time::Duration;

use lambda_http::http::header;
use serde::Serialize;

use super::failure::{AnthropicFailure, StreamProblem};
use super::read::request_id;
use super::reply::to_json;
use super::{Body, FailureFormat, HeaderValue, Reply, Request, Response};
use crate::config::ClientStatuses;
use crate::http::stream::Pieces;
use crate::telemetry::metrics::{self, Metric};
use crate::telemetry::trace::{self, Trace};
use crate::{Error, Result};

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// A comment. Clients ignore it, and proxies see that the stream is alive.
const COMMENT: &str = ":\n\n";

/// The event with which Anthropic's API shows that a stream is alive
/// ([reference](https://docs.anthropic.com/en/docs/build-with-claude/streaming#ping-events)).
const PING: &str = "event: ping\ndata: {\"type\": \"ping\"}\n\n";

/// Returns a 200 reply with the server-sent events that `write` sends. `write` runs only as fast as
/// the client reads. [`Events::fail`] writes failures in the `failures` format. A comment is sent
/// at the start if the first event isn't ready, and whenever `silence` has passed without an event.
/// After the first event, Anthropic's clients get a ping instead.
pub fn events<F>(
    req: &Request,
    failures: FailureFormat,
    silence: Duration,
    write: impl FnOnce(Events) -> F,
) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let request_id = request_id(req);
    let body = Body::written_by(|pieces| write(Events { pieces, failures, request_id }));
    let later = if failures == FailureFormat::Anthropic { PING } else { COMMENT };
    let mut response = Response::new(body.kept_alive([COMMENT, later], silence));
    response.headers_mut().insert(header::CONTENT_TYPE, EVENTS);
    Ok(response)
}

/// The sending end of a stream of events.
pub struct Events {
    pieces: Pieces,
    failures: FailureFormat,
    request_id: String,
}

impl Events {
    /// Sends an event.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected.
    pub async fn send(&self, name: &str, data: &impl Serialize) -> Result<()> {
        let data = to_json(data)?;
        self.pieces.send(format!("event: {name}\ndata: {data}\n\n")).await
    }

    /// Sends an event without a name. The data must be on one line.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected.
    pub async fn send_data(&self, data: impl Display) -> Result<()> {
        self.pieces.send(format!("data: {data}\n\n")).await
    }

    /// Sends an event without a name, and with its data as JSON.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected.
    pub async fn send_json(&self, data: &impl Serialize) -> Result<()> {
        self.send_data(to_json(data)?).await
    }

    /// Sends a failure in the format of a failed reply's body, and [notes](Self::note) it.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected.
    pub async fn fail(&self, error: &Error) -> Result<()> {
        self.note(error);
        match self.failures {
            FailureFormat::Problem | FailureFormat::Simplejwt | FailureFormat::SimplejwtGuarded => {
                self.send("error", &StreamProblem::of(error, &self.request_id)).await
            }
            FailureFormat::Anthropic => {
                self.send("error", &AnthropicFailure::of(error, &self.request_id)).await
            }
            FailureFormat::OpenAi | FailureFormat::Responses | FailureFormat::TextCompletions => {
                self.send_data(self.failures.document(
                    error,
                    &self.request_id,
                    ClientStatuses::default(),
                ))
                .await
            }
        }
    }

    /// Logs and counts a failure. Call this for a failure that is sent in a different format.
    pub fn note(&self, error: &Error) {
        let trace = trace::current();
        let trace_id = trace.as_ref().map(Trace::id);
        let span = tracing::error_span!("request", request_id = self.request_id, trace_id);
        span.in_scope(|| error.log());
        metrics::record_by(error.code(), &[(Metric::Failures, 1)]);
    }
}
