//! Every five minutes - return the credits held for messages whose function has died.

use shared::telemetry::metrics::{self, Metric};
use shared::{App, Result};

use crate::lambda::{Lambda, Schedule};

pub(crate) const LAMBDA: Lambda = Lambda::new("Releases holds whose lease has ended")
    .scheduled(Schedule::FiveMinutes)
    .timeout(240)
    .permits(permits![scan(UsersDue), allow(&[GetItem, UpdateItem], Users(&["user:*"]))]);

/// Releases expired holds. Reads only the accounts that may have expired holds.
pub async fn work(app: App) -> Result<()> {
    let swept = app.store.sweep(app.clock.seconds()).await?;
    tracing::info!(accounts = swept.accounts, released = swept.released, "swept");
    metrics::record(&[
        (Metric::SweptAccounts, u64::try_from(swept.accounts).unwrap_or(u64::MAX)),
        (Metric::TokensReturned, swept.credits),
    ]);
    Ok(())
}
