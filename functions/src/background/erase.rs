//! Every five minutes - erase the remaining data of deleted accounts.

use std::time::Duration;

use shared::telemetry::metrics::{self, Metric};
use shared::{App, Result};

use crate::lambda::{Lambda, Schedule};

pub(crate) const LAMBDA: Lambda = Lambda::new("Erases the data of deleted accounts")
    .scheduled(Schedule::FiveMinutes)
    .timeout(300)
    .permits(permits![
        scan(UsersErasing),
        allow(&[GetItem, UpdateItem, DeleteItem], Users(&["user:*"])),
        allow(&[Query, BatchGetItem, BatchWriteItem, UpdateItem], Chats),
        query(ChatsByConversation),
        allow(&[BatchWriteItem], Files),
        allow(&[PutItem], Tokens(&["pending:*"])),
        query(TokensByUser),
        allow(
            &[BatchWriteItem],
            Tokens(&[
                "session:*",
                "link:*",
                "apikey:*",
                "instructions:*",
                "folders:*",
                "purchase:*",
                "share:*",
                "shares:*"
            ])
        ),
    ]);

/// The maximum duration of one run. The function's time-out is longer, so that the slowest call to
/// the store can still finish.
pub const TIME: Duration = Duration::from_secs(270);

/// Erases the data of deleted accounts. Accounts whose data was already erased aren't read again.
pub async fn work(app: App) -> Result<()> {
    let erased = app.store.erase(app.clock.seconds(), TIME).await?;
    tracing::info!(accounts = erased.accounts, items = erased.items, gone = erased.gone, "erased");
    metrics::record(&[(Metric::ErasedAccounts, u64::try_from(erased.gone).unwrap_or(u64::MAX))]);
    Ok(())
}
