//! Work that a schedule or a stream starts.

use futures_util::future::BoxFuture;
use shared::telemetry::trace::{self, Parent};
use shared::{App, Error};
use tracing::{Instrument, Span};

/// Runs work that a schedule or a stream starts. If traces are on, the work is recorded as a trace,
/// and each log line of the work contains the trace's id.
pub(crate) async fn traced(
    app: &App,
    what: (&str, &str),
    work: BoxFuture<'_, shared::Result<()>>,
) -> shared::Result<()> {
    let trace = app.traces.as_ref().map(|traces| traces.begin(Parent::default()));
    let span = match &trace {
        Some(trace) => tracing::error_span!("invocation", trace_id = trace.id()),
        None => Span::none(),
    };
    trace::of_work(trace.as_ref(), what, work.instrument(span), Error::code).await
}
