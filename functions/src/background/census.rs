//! Every day - count the accounts, find the first users in each order of the administrators' list,
//! take the tokens that refunded purchases owe, and delete orders that were never paid.

use shared::{App, Result};

/// Collects, and takes the census even if that fails. The census reads every account once, so its time grows with the
/// number of accounts.
pub async fn work(app: App) -> Result<()> {
    let collected = app.store.collect(&app.clock).await;
    let imports = app.imports.current().await?;
    let census = app.store.take_census(app.clock.millis(), imports.as_deref()).await?;
    tracing::info!(users = census.users, tokens = census.tokens, "counted");
    // Last, because the time of this step depends on how many orders users leave unpaid.
    let expired = app.store.expire_orders(&app.clock).await?;
    tracing::info!(expired, "deleted unpaid orders");
    collected?;
    Ok(())
}
