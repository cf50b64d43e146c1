//! Every day - count the accounts, and find the first users in each order of the administrators'
//! list.

use shared::{App, Result};

/// Takes the census. The census reads every account once, so its time grows with the number of
/// accounts.
pub async fn work(app: App) -> Result<()> {
    let census = app.store.take_census(app.clock.millis()).await?;
    tracing::info!(users = census.users, tokens = census.tokens, "counted");
    Ok(())
}
