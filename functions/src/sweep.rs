//! Every five minutes - give back the tokens of chats whose function died.

use shared::{App, Result};

/// Looks at the accounts that may hold a reservation whose lease is over, and at no other.
pub async fn work(app: App) -> Result<()> {
    let swept = app.store.sweep(app.clock.seconds()).await?;
    tracing::info!(accounts = swept.accounts, released = swept.released, "swept");
    Ok(())
}
