//! Every hour - compare the orders with Stripe's lists, merge the payments, refunds and disputes that
//! no event has told, and tell administrators of new disputes.
//!
//! Events are lost if the webhook's secret or address is wrong, or if this product is down for longer
//! than Stripe repeats them. Then buyers have paid and have got nothing, and no request fails.

use std::time::Duration;

use shared::Result;
use shared::app::PaymentsApp;
use shared::payments::{self, Difference};
use shared::telemetry::metrics::{self, Metric};

/// The number of days that are compared. A refund or a dispute can come at any time, and has a time
/// of its own.
const DAYS: u64 = 3;

/// The number of days that the run of one hour a day compares. Some payments take days.
const DAYS_AT_NIGHT: u64 = 14;

/// The hour of that run, in UTC.
const NIGHT: u64 = 3;

/// The time in which an event that is on its way must arrive.
const GRACE: Duration = Duration::from_secs(60);

/// Does the work of an hour, and gives events a minute to arrive.
pub async fn work(payments: PaymentsApp) -> Result<()> {
    run(&payments, GRACE).await
}

/// Does the work of an hour. An event that is on its way must arrive within `grace`. Administrators
/// are told of disputes even if Stripe can't be asked.
///
/// # Errors
/// Fails if Stripe doesn't answer, with the errors of the store, and if an e-mail can't be written.
pub async fn run(payments: &PaymentsApp, grace: Duration) -> Result<()> {
    let compared = compare(payments, grace).await;
    let waiting = payments.app.store.tell_disputes(&payments.app.clock).await?;
    metrics::record(&[
        (Metric::OrdersToLookAt, waiting.orders),
        (Metric::Disputes, waiting.disputes),
    ]);
    metrics::record(&[(Metric::MissedPayments, compared?), (Metric::PaymentsChecked, 1)]);
    Ok(())
}

/// Merges what no event has told. Returns the number of differences.
async fn compare(PaymentsApp { app, stripe }: &PaymentsApp, grace: Duration) -> Result<u64> {
    let Some(stripe) = stripe else { return Ok(0) };
    let hour = app.clock.seconds() / 3600 % 24;
    let days = if hour == NIGHT { DAYS_AT_NIGHT } else { DAYS };
    stripe.renew_key().await;
    let missed = payments::check(app, stripe, days, grace).await?;
    for Difference { order, line } in &missed {
        tracing::error!(order, line, "no event has told of a payment");
    }
    Ok(u64::try_from(missed.len()).unwrap_or(u64::MAX))
}
