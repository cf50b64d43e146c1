//! The commands for vouchers.

use shared::clock;
use shared::clock::Day;
use shared::store::VoucherBatch;
use shared::values::{Reason, VoucherCode};
use shared::{App, Credits};

use super::{Opened, Target, counted, find, in_store, sentence};

/// The vouchers to create.
pub struct NewVouchers<'a> {
    /// The name, which users see in their statement.
    pub name: &'a str,
    /// The credits that each use of a code grants.
    pub tokens: u64,
    /// The number of codes.
    pub count: u32,
    /// The number of accounts that can use each code.
    pub uses: u32,
    /// The last day on which the codes are accepted. `None` if they have no end.
    pub ends: Option<&'a str>,
}

/// Creates vouchers. Returns their codes, one per line, which can't be shown again.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn create(target: &Target, new: &NewVouchers<'_>) -> Result<String, String> {
    let name =
        Reason::parse(new.name).map_err(|why| why.sentence().replace("A reason", "--name"))?;
    let tokens = Credits::positive(new.tokens)
        .map_err(|invalid| invalid.sentence().replace("This", "TOKENS"))?;
    in_store(target, async |Opened { app, .. }| create_in(app, new, &name, tokens).await).await
}

async fn create_in(
    app: &App,
    new: &NewVouchers<'_>,
    name: &Reason,
    tokens: Credits,
) -> Result<String, String> {
    let now = app.clock.seconds();
    let end = |day: &str| {
        Day::end_of(day, now).ok_or_else(|| {
            format!("--ends must be a day that isn't over, such as 2099-12-31 (got {day:?}).")
        })
    };
    let ends = new.ends.map(end).transpose()?;
    let codes = (new.count, new.uses);
    let batch = VoucherBatch::new(name.text(), tokens, codes, ends, "manage", &app.clock);
    let codes = VoucherCode::several(new.count)
        .map_err(|_| "The system has no random numbers.".to_owned())?;
    app.store.create_vouchers(None, &batch, &codes, None, now).await.map_err(sentence)?;
    Ok(codes.iter().map(VoucherCode::text).collect::<Vec<_>>().join("\n"))
}

/// Lists the batches of vouchers, one per line, newest first: those that `creator` has created and
/// that are still valid, or all.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn list(target: &Target, creator: Option<&str>) -> Result<String, String> {
    let batches = in_store(target, async |Opened { app, .. }| match creator {
        Some(creator) => valid_of(app, creator).await,
        None => every(app).await,
    })
    .await?;
    let now = clock::Clock::default().seconds();
    let line = |batch: &VoucherBatch| {
        let state = match (batch.void, batch.ends) {
            (Some(void), _) => format!("voided {}", clock::rfc3339(void)),
            (None, Some(ends)) if ends <= now => "ended".to_owned(),
            (None, Some(ends)) => format!("until {}", clock::rfc3339(ends * 1000)),
            (None, None) => "no end".to_owned(),
        };
        let VoucherBatch { name, tokens, count, uses, redeemed, actor, .. } = batch;
        let (codes, uses) = (counted(*count, "code"), counted(*uses, "use"));
        let id = batch.id();
        format!(
            "{id}  {codes} of {tokens} tokens, {uses} each, {redeemed} redeemed, {state}, by {actor}: {name}"
        )
    };
    match (batches.is_empty(), creator) {
        (true, None) => Ok("There are no vouchers.".into()),
        (true, Some(creator)) => Ok(format!("{creator} has created no vouchers that are valid.")),
        (false, _) => Ok(batches.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

async fn every(app: &App) -> Result<Vec<VoucherBatch>, String> {
    let mut batches: Vec<VoucherBatch> = Vec::new();
    loop {
        let before = batches.last().map(|batch| batch.id().to_owned());
        let (page, more) = app.store.voucher_batches(before.as_deref()).await.map_err(sentence)?;
        batches.extend(page);
        if !more {
            return Ok(batches);
        }
    }
}

/// Returns the batches that an account has created and that are still valid. A deleted account is
/// known only by its id.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn valid_of(app: &App, creator: &str) -> Result<Vec<VoucherBatch>, String> {
    let id = match clock::millis_of(creator) {
        Some(_) => creator.to_owned(),
        None => find(app, creator).await?.id,
    };
    let mut batches = every(app).await?;
    batches.retain(|batch| batch.actor == id && !batch.has_ended(app.clock.seconds()));
    Ok(batches)
}

/// Ends all valid batches that an account has created, such as an administrator's whose password
/// was stolen.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn void_all_of(target: &Target, creator: &str) -> Result<String, String> {
    match in_store(target, async |Opened { app, .. }| void_valid_of(app, creator).await).await? {
        0 => Err(format!("{creator} has created no vouchers that are valid.")),
        1 => Ok(format!("1 batch by {creator} is voided.")),
        number => Ok(format!("{number} batches by {creator} are voided.")),
    }
}

/// Ends all valid batches that an account has created. Returns their number.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn void_valid_of(app: &App, creator: &str) -> Result<usize, String> {
    let batches = valid_of(app, creator).await?;
    for batch in &batches {
        app.store.void_vouchers(None, batch.id(), &app.clock).await.map_err(sentence)?;
    }
    Ok(batches.len())
}

/// Ends a batch of vouchers.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn void(target: &Target, id: &str) -> Result<String, String> {
    let voided = in_store(target, async |Opened { app, .. }| {
        app.store.void_vouchers(None, id, &app.clock).await.map_err(sentence)
    })
    .await?;
    match voided {
        Some(batch) => Ok(format!(
            "No code of {:?} is accepted any more; {} before.",
            batch.name,
            counted(batch.redeemed, "use")
        )),
        None => Err(format!("No vouchers have the id {id:?}; `manage vouchers list` shows them.")),
    }
}
