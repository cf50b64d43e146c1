//! Every hour - compare the orders with Stripe's lists, merge the payments, refunds and disputes
//! that no event has reported, and notify administrators of new disputes.
//!
//! Events are lost if the webhook's secret or address is wrong, or if this product is down for
//! longer than Stripe keeps retrying. Buyers have then paid without receiving anything, and no
//! failed request reveals this.

use std::time::Duration;

use shared::app::PaymentsApp;
use shared::payments::{self, Difference};
use shared::telemetry::metrics::{self, Metric};
use shared::{Error, Result};

use crate::lambda::{Lambda, Schedule};

pub(crate) const LAMBDA: Lambda = Lambda::new("Compares payments with Stripe")
    .scheduled(Schedule::Hourly)
    .timeout(900)
    .permits(permits![
        read_secret("StripeKeyArn"),
        get(Users(&["admins"])),
        query(UsersByTime),
        get(Users(&["user:*"])),
        update(Users(&["user:*"])),
        COLLECT_OWED,
        put(Ledger),
        get(Tokens(&["order:*", "purchase:*", "payment:*"])),
        put(Tokens(&["source:*", "attention:*", "outbox:*"])),
        update(Tokens(&["order:*", "payment:*"])),
    ]);

/// How many days are compared. Stripe lists refunds and disputes by their own dates, so refunds and
/// disputes of older payments are compared as well.
const COMPARED_DAYS: u64 = 3;

/// How many days the nightly run compares. Some payments take days to complete.
const COMPARED_DAYS_AT_NIGHT: u64 = 14;

/// The hour of the nightly run, in UTC.
const NIGHT: u64 = 3;

/// How long the comparison waits for events that are still on their way.
const GRACE: Duration = Duration::from_secs(60);

/// The maximum duration of the comparison. The function's time-out leaves two more minutes for
/// disputes.
const COMPARISON: Duration = Duration::from_secs(780);

/// Performs one run, with a minute for delayed events to arrive.
pub async fn work(payments: PaymentsApp) -> Result<()> {
    run(&payments, GRACE).await
}

/// Compares the orders with Stripe's lists, and notifies administrators of disputes. The notices
/// are sent even if Stripe doesn't answer. Events that are on their way must arrive within `grace`.
///
/// # Errors
/// Returns the store's errors. If Stripe doesn't answer, the run doesn't count as a check.
pub async fn run(payments: &PaymentsApp, grace: Duration) -> Result<()> {
    let mut missed = 0;
    let compared = tokio::time::timeout(COMPARISON, compare(payments, grace, &mut missed)).await;
    metrics::record(&[(Metric::MissedPayments, missed)]);
    let waiting = payments.app.store.tell_disputes(&payments.app.clock).await?;
    metrics::record(&[
        (Metric::OrdersToLookAt, waiting.orders),
        (Metric::Disputes, waiting.disputes),
    ]);
    if let Some(error) = waiting.failure {
        return Err(error.into());
    }
    match compared {
        Ok(Ok(())) => metrics::record(&[(Metric::PaymentsChecked, 1)]),
        Ok(Err(error @ Error::PaymentsUnavailable(_))) => {
            tracing::error!(cause = error.cause(), "payments can't be compared");
        }
        Ok(Err(error)) => return Err(error),
        Err(_) => tracing::error!(cause = "too many payments", "payments can't be compared"),
    }
    Ok(())
}

/// Merges the facts that no event has reported, and counts the differences.
async fn compare(
    PaymentsApp { app, stripe }: &PaymentsApp,
    grace: Duration,
    missed: &mut u64,
) -> Result<()> {
    let Some(stripe) = stripe else { return Ok(()) };
    let hour = app.clock.seconds() / 3600 % 24;
    let days = if hour == NIGHT { COMPARED_DAYS_AT_NIGHT } else { COMPARED_DAYS };
    stripe.renew_key().await;
    payments::check(app, stripe, days, grace, |Difference { order, line, .. }| {
        tracing::error!(order, line, "no event has told of a payment");
        *missed += 1;
    })
    .await
}
