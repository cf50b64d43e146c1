//! Every day - count the accounts, find the first users for each sort order of the administrators'
//! list, collect the tokens owed for refunded purchases, and delete unpaid purchases.

use shared::{App, Result};

use crate::lambda::{Lambda, Schedule};

pub(crate) const LAMBDA: Lambda = Lambda::new("Counts the accounts, and takes owed tokens")
    .memory(1024)
    .scheduled(Schedule::Daily)
    .timeout(300)
    .permits(permits![
        scan(UsersByTime),
        get_many(Users(&["user:*"])),
        get(Users(&["user:*"])),
        update(Users(&["user:*"])),
        query(TokensByUser),
        get_many(Tokens(&["order:*"])),
        put(Ledger),
        get(Tokens(&["imports:*", "order:*", "purchase:*"])),
        put(Tokens(&["census:*", "imports:*", "ranking:*", "source:*"])),
        delete(Tokens(&["attention:*", "order:*", "purchase:*"])),
        allow(&[UpdateItem, ConditionCheckItem], Tokens(&["order:*"])),
    ]);

/// Collects owed credits, and then takes the census even if the collection fails. The census reads
/// every account once, so its running time grows with the number of accounts.
pub async fn work(app: App) -> Result<()> {
    let collected = app.store.collect(&app.clock).await;
    let imports = app.imports.current().await?;
    let census = app.store.take_census(app.clock.millis(), imports.as_deref()).await?;
    tracing::info!(users = census.users, tokens = census.tokens, "counted");
    // This step is last, because its running time depends on how many orders users leave unpaid.
    let expired = app.store.expire_orders(&app.clock).await?;
    tracing::info!(expired, "deleted unpaid orders");
    collected?;
    Ok(())
}
