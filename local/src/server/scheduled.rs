//! Work that no request starts.

use futures_util::future::BoxFuture;
use shared::telemetry::trace::{self, Parent};
use shared::{App, Error};
use tracing::{Instrument, Span};

/// Does what a schedule or a stream starts. With traces, it is a trace, whose id is in each of its
/// lines of the log.
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
