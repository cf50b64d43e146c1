//! Every five minutes - return the credits held for messages whose function has died, and delete
//! the files of messages that were never stored.

use shared::telemetry::metrics::{self, Metric};
use shared::{App, Result};

use crate::lambda::{Lambda, Schedule};

pub(crate) const LAMBDA: Lambda = Lambda::new("Releases holds whose lease has ended")
    .scheduled(Schedule::FiveMinutes)
    .timeout(240)
    .permits(permits![
        scan(UsersDue),
        allow(&[GetItem, UpdateItem], Users(&["user:*"])),
        query(TokensByUser),
        allow(&[BatchGetItem, UpdateItem, DeleteItem], Tokens(&["pending:*"])),
        get(Chats),
        allow(&[BatchWriteItem], Files),
    ]);

/// Releases expired holds. Reads only the accounts that may have expired holds. Then deletes the
/// files of messages whose hold has ended, even if the releases have failed.
pub async fn work(app: App) -> Result<()> {
    let swept = app.store.sweep(app.clock.seconds()).await;
    if let Ok(swept) = &swept {
        tracing::info!(accounts = swept.accounts, released = swept.released, "swept");
        metrics::record(&[
            (Metric::SweptAccounts, u64::try_from(swept.accounts).unwrap_or(u64::MAX)),
            (Metric::TokensReturned, swept.credits),
        ]);
    }
    let files = app.store.sweep_files(app.clock.seconds()).await;
    if let Ok(messages) = &files {
        tracing::info!(messages, "deleted the files of messages that weren't stored");
    }
    swept?;
    files?;
    Ok(())
}
