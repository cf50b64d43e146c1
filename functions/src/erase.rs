//! Every five minutes - erase what deleted accounts have left.

use std::time::Duration;

use shared::{App, Result};

/// How long one run goes on. The function's time is longer by more than the longest call to the
/// store.
pub const TIME: Duration = Duration::from_secs(270);

/// Looks at the deleted accounts that something may be left of, and at no other.
pub async fn work(app: App) -> Result<()> {
    let erased = app.store.erase(app.clock.seconds(), TIME).await?;
    tracing::info!(accounts = erased.accounts, items = erased.items, gone = erased.gone, "erased");
    Ok(())
}
