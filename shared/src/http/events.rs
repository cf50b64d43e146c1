//! Server-sent events ([format](https://html.spec.whatwg.org/multipage/server-sent-events.html)).

use std::fmt::Display;
use std::time::Duration;

use lambda_http::http::header;
use serde::Serialize;

use super::read::request_id;
use super::reply::to_json;
use super::{Body, Failures, HeaderValue, Reply, Request, Response};
use crate::http::stream::Pieces;
use crate::telemetry::metrics::{self, Metric};
use crate::telemetry::trace::{self, Trace};
use crate::{Error, Result};

const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// A comment. Clients ignore it, and proxies see that the stream is alive.
const COMMENT: &str = ":\n\n";

/// Returns a 200 reply with the server-sent events that `write` sends. `write` runs only as fast as
/// the client reads. [`Events::fail`] writes failures in the `failures` format. A comment is sent
/// at the start if the first event isn't ready, and whenever `silence` has passed without an event.
/// After the first event, some clients get a [ping](Failures::ping) instead.
pub fn events<F>(
    req: &Request,
    failures: &'static dyn Failures,
    silence: Duration,
    write: impl FnOnce(Events) -> F,
) -> Reply
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let request_id = request_id(req);
    let body = Body::written_by(|pieces| write(Events { pieces, failures, request_id }));
    let later = failures.ping().unwrap_or(COMMENT);
    let mut response = Response::new(body.kept_alive([COMMENT, later], silence));
    response.headers_mut().insert(header::CONTENT_TYPE, EVENTS);
    Ok(response)
}

/// The sending end of a stream of events.
pub struct Events {
    pieces: Pieces,
    failures: &'static dyn Failures,
    request_id: String,
}

impl Events {
    /// Sends an event.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected.
    pub async fn send(&self, name: &str, data: &impl Serialize) -> Result<()> {
        self.send_named(name, &to_json(data)?).await
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

    async fn send_named(&self, name: &str, data: &str) -> Result<()> {
        self.pieces.send(format!("event: {name}\ndata: {data}\n\n")).await
    }

    /// Sends a failure in the format of the route's failures, and [notes](Self::note) it.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected.
    pub async fn fail(&self, error: &Error) -> Result<()> {
        self.note(error);
        match self.failures.event(error, &self.request_id)? {
            (Some(name), data) => self.send_named(name, &data).await,
            (None, data) => self.send_data(data).await,
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
