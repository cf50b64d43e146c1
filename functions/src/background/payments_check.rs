//! Every hour - compare the orders with Stripe's lists, merge the payments, refunds and disputes
//! that no event has reported, and tell administrators about new disputes.
//!
//! Events are lost if the webhook's secret or address is wrong, or if this product is down for
//! longer than Stripe repeats them. Then buyers have paid but received nothing, and no request
//! shows the failure.

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

/// The number of days that are compared. Stripe lists refunds and disputes by their own dates, so
/// those of older payments are also compared.
const DAYS: u64 = 3;

/// The number of days that one run each day compares instead. Some payments take days.
const DAYS_AT_NIGHT: u64 = 14;

/// The hour of this run, in UTC.
const NIGHT: u64 = 3;

/// The time in which an event that is on its way must arrive.
const GRACE: Duration = Duration::from_secs(60);

/// The time for the comparison. The function's time-out leaves two minutes for disputes.
const COMPARISON: Duration = Duration::from_secs(780);

/// Runs once, and gives events a minute to arrive.
pub async fn work(payments: PaymentsApp) -> Result<()> {
    run(&payments, GRACE).await
}

/// Compares the orders with Stripe's lists, and tells administrators about disputes, even if Stripe
/// doesn't answer. An event that is on its way must arrive within `grace`.
///
/// # Errors
/// Fails with the errors of the store. If Stripe doesn't answer, the run isn't counted as a check.
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
    let days = if hour == NIGHT { DAYS_AT_NIGHT } else { DAYS };
    stripe.renew_key().await;
    payments::check(app, stripe, days, grace, |Difference { order, line, .. }| {
        tracing::error!(order, line, "no event has told of a payment");
        *missed += 1;
    })
    .await
}
