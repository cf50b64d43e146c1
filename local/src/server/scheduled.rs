//! Work that a schedule or a stream starts.

use functions::background::census;
use functions::lambda::{Schedule, Trigger};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use shared::app::{CensusApp, Scheduled};
use shared::telemetry::trace::{self, Parent};
use shared::{App, Error};
use tracing::{Instrument, Span};

/// Runs a scheduled function, as the template's schedules do on AWS. Hourly functions first run
/// after an hour, and daily functions first run after a day; until then, a command can do their
/// work.
pub(super) async fn on_schedule<A: Scheduled, F>(name: &str, app: A, work: fn(A) -> F)
where
    F: Future<Output = shared::Result<()>> + Send + 'static,
{
    let function = functions::background::FUNCTIONS.iter().find(|function| function.name == name);
    let Some(Trigger::Schedule(schedule)) = function.and_then(|function| function.lambda.trigger)
    else {
        return tracing::error!(name, "no schedule invokes this function");
    };
    // Nothing is due while the clock stands still. A test that stops it does the work itself, in an
    // order that doesn't depend on how long the test runs.
    if app.app().is_some_and(|app| app.clock.is_standing()) {
        return;
    }
    let every = schedule.interval();
    if schedule != Schedule::FiveMinutes {
        tokio::time::sleep(every).await;
    }
    loop {
        let done = work(app.clone()).boxed();
        if let Err(error) = traced(app.app(), (name, "timer"), done).await {
            tracing::error!(cause = error.cause(), "the scheduled work failed");
        }
        tokio::time::sleep(every).await;
    }
}

/// Stores the calls to AI models of days that have ended, every hour. Few local servers run until
/// their first daily census, and the calls are in memory only.
pub(super) async fn keep_calls(census: CensusApp) {
    while !census.app.clock.is_standing() {
        tokio::time::sleep(Schedule::Hourly.interval()).await;
        if let Err(error) = census::keep_calls(&census).await {
            tracing::error!(cause = error.cause(), "the calls to AI models are not stored yet");
        }
    }
}

/// Runs work that a schedule or a stream starts. If tracing is on, the work is recorded as a trace,
/// and each log line of the work contains the trace's id.
pub(crate) async fn traced(
    app: Option<&App>,
    what: (&str, &str),
    work: BoxFuture<'_, shared::Result<()>>,
) -> shared::Result<()> {
    let traces = app.and_then(|app| app.traces.as_ref());
    let trace = traces.map(|traces| traces.begin(Parent::default()));
    let span = match &trace {
        Some(trace) => tracing::error_span!("invocation", trace_id = trace.id()),
        None => Span::none(),
    };
    trace::of_work(trace.as_ref(), what, work.instrument(span), Error::code).await
}

#[cfg(test)]
mod tests {
    use emulator::dynamo::Data;
    use shared::clock::Clock;

    use super::*;
    use crate::server::Server;

    #[tokio::test]
    async fn a_standing_clock_has_no_schedule() {
        async fn runs(_: App) -> shared::Result<()> {
            panic!("it runs")
        }
        let server = Server::start(0, &Data::Memory, Clock::standing(1_700_000_000_000), |_| None)
            .await
            .unwrap();
        on_schedule("sweep", server.apps["sweep"].clone(), runs).await;
    }
}
