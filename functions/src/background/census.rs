//! Every day - count the accounts, find the first users in each order of the administrators' list,
//! and take the tokens that refunded purchases owe.

use shared::telemetry::metrics::{self, Metric};
use shared::{App, Result};

/// Collects, and takes the census even if that fails. The census reads every account once, so its time grows with the
/// number of accounts.
pub async fn work(app: App) -> Result<()> {
    let collected = app.store.collect(&app.clock).await.map(|orders| {
        let orders = u64::try_from(orders).unwrap_or(u64::MAX);
        metrics::record(&[(Metric::OrdersToLookAt, orders)]);
    });
    let imports = app.imports.current().await?;
    let census = app.store.take_census(app.clock.millis(), imports.as_deref()).await?;
    tracing::info!(users = census.users, tokens = census.tokens, "counted");
    collected?;
    Ok(())
}
