//! Every day - count the accounts, find the first users for each sort order of the administrators'
//! list, collect the tokens owed for refunded purchases, delete unpaid purchases, compute what
//! messages to each model usually use, and store how the calls to AI models went.

use std::time::{Duration, Instant};

use shared::app::CensusApp;
use shared::clock::Day;
use shared::{App, Error, Result};
use tokio::time::timeout;

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
        query(LedgerTrail),
        get_many(Tokens(&["figures:*", "order:*"])),
        put(Ledger),
        get(Tokens(&["imports:*", "models:*", "order:*", "purchase:*"])),
        put(Tokens(&["census:*", "figures:*", "imports:*", "ranking:*", "source:*", "usual:*"])),
        delete(Tokens(&["attention:*", "order:*", "purchase:*"])),
        allow(&[UpdateItem, ConditionCheckItem], Tokens(&["order:*"])),
        Permit::Statements("ReadMetrics"),
    ]);

/// The number of days before today that must be stored. If the metrics can't be read on one day,
/// the next runs try again.
const EARLIER_DAYS: u64 = 4;

/// How long after its end a day is read, in milliseconds, so that its last metrics have arrived.
const LATE: u64 = 3_600_000;

/// The maximum time for reading the metrics.
const PATIENCE: Duration = Duration::from_secs(120);

/// The maximum time after which no further day of the ledger is counted.
const COUNTING: Duration = Duration::from_secs(60);

/// Counts the accounts, and at the same time stores the calls to AI models. A failure of the
/// metrics is only logged, because the rest of the work doesn't depend on them.
pub async fn work(census: CensusApp) -> Result<()> {
    let (done, kept) = tokio::join!(run(&census.app), timeout(PATIENCE, keep_calls(&census)));
    let kept = kept.unwrap_or_else(|_| Err(Error::Unavailable("no answer in time".into())));
    if let Err(error) = kept {
        tracing::error!(cause = error.cause(), "the calls to AI models are not stored yet");
    }
    done
}

/// Collects owed credits, and then takes the census even if the collection fails. The census reads
/// every account once, so its running time grows with the number of accounts.
///
/// # Errors
/// Returns an error if the store fails.
pub async fn run(app: &App) -> Result<()> {
    let collected = app.store.collect(&app.clock).await;
    let imports = app.imports.current().await?;
    let census = app.store.take_census(app.clock.millis(), imports.as_deref()).await?;
    tracing::info!(users = census.users, tokens = census.tokens, "counted");
    // The last two steps are the ones whose running time depends on what users did: on how many
    // orders they left unpaid, and on how many messages they sent.
    let expired = app.store.expire_orders(&app.clock).await?;
    tracing::info!(expired, "deleted unpaid orders");
    let usual = async {
        let period = app.data_period().await?;
        Ok::<_, Error>(app.store.note_usual_usage(period, Instant::now() + COUNTING).await?)
    };
    if let Err(error) = usual.await {
        tracing::error!(cause = error.cause(), "what messages usually cost is not computed yet");
    }
    collected?;
    Ok(())
}

/// Stores the calls to AI models on the last days, unless they are already stored.
///
/// # Errors
/// Returns an error if the metrics can't be read or the store fails. Days that were read before are
/// stored.
pub async fn keep_calls(census: &CensusApp) -> Result<()> {
    let CensusApp { app, calls } = census;
    if !calls.is_recording() {
        return Ok(());
    }
    let today = Day::from_millis(app.clock.millis().saturating_sub(LATE));
    let days: Vec<Day> = (1..=EARLIER_DAYS).map(|earlier| today.before(earlier)).collect();
    let kept = app.store.model_calls(&days).await?;
    for day in days.into_iter().filter(|day| !kept.contains_key(day)) {
        let calls = calls.on(day).await.map_err(Error::Unavailable)?;
        app.store.keep_model_calls(day, calls).await?;
    }
    Ok(())
}
