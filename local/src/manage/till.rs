//! The commands for packs, purchases and payments.

use std::path::Path;

use shared::config::{Secret, Settings, StripeConfig};
use shared::payments::{self, Cure, Difference};
use shared::secrets;
use shared::store::{Order, SetOfferOutcome};
use shared::stripe::Stripe;
use shared::values::{Packs, money};
use shared::view::Purchase;
use shared::{App, Credits, clock};

use super::{Opened, Target, counted, in_new_store, in_store, sentence};
use crate::offer_file;
use crate::say;

/// Shows the packs as JSON, with their author and time.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn show_packs(target: &Target) -> Result<String, String> {
    let stored =
        in_store(target, async |Opened { app, .. }| app.store.packs().await.map_err(sentence))
            .await?;
    let Some(stored) = stored else {
        return Ok("There are no packs: nothing is sold.".into());
    };
    offer_file::show(&stored)
}

/// Sets the packs from a file, or removes them without a file.
///
/// # Errors
/// Fails with a sentence for the terminal. Each problem in the file is a line.
pub async fn set_packs(target: &Target, file: Option<&Path>) -> Result<String, String> {
    let packs = file.map(offer_file::read::<Packs>).transpose()?;
    let set = in_new_store(target, async |Opened { app, .. }| {
        offer_file::set(app, packs.as_ref()).await.map_err(sentence)
    })
    .await?;
    match set {
        SetOfferOutcome::Set(Some(stored)) => Ok(format!(
            "{} can be bought now, version {}.",
            counted(stored.list.packs.len(), "pack"),
            stored.of.version
        )),
        SetOfferOutcome::Set(None) => Ok("Nothing is sold now.".into()),
        SetOfferOutcome::Changed => {
            Err("Someone else has just changed the packs. Nothing was changed.".into())
        }
    }
}

/// Lists the purchases, one per line, newest first.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn orders(target: &Target, attention: bool) -> Result<String, String> {
    let orders = in_store(target, async |Opened { app, .. }| match attention {
        true => waiting(app).await,
        false => app.store.orders_since(0).await.map_err(sentence),
    })
    .await?;
    let line = |order: &Order| {
        let Order { account, price, currency, given, owed, .. } = order;
        let mut line = format!(
            "{}  {}  {}, {}, {given} of {} tokens given",
            order.id(),
            clock::rfc3339(order.time),
            money::shown(*price, currency),
            Purchase::of(order).state(),
            order.tokens
        );
        if *owed > Credits::ZERO {
            line.push_str(&format!(", {owed} owed"));
        }
        if let Some(stranded) = order.stranded {
            line.push_str(&format!(", stranded: {}", stranded.word()));
        }
        format!("{line}: {account}")
    };
    match orders.is_empty() {
        true if attention => Ok("No purchase needs attention.".into()),
        true => Ok("There are no purchases.".into()),
        false => Ok(orders.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

/// Returns all orders that an administrator should look at, newest first.
async fn waiting(app: &App) -> Result<Vec<Order>, String> {
    let mut all: Vec<Order> = Vec::new();
    loop {
        let before = all.last().map(Order::id);
        let (page, more) = app.store.orders_to_look_at(before).await.map_err(sentence)?;
        all.extend(page);
        if !more {
            return Ok(all);
        }
    }
}

/// Takes the tokens that refunded purchases owe, as far as the accounts have them, and deletes old
/// purchases that were never paid.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn collect(target: &Target) -> Result<String, String> {
    let (left, expired) = in_store(target, async |Opened { app, .. }| {
        let left = app.store.collect(&app.clock).await;
        let expired = app.store.expire_orders(&app.clock).await;
        Ok((left.map_err(sentence)?, expired.map_err(sentence)?))
    })
    .await?;
    let left = match left {
        0 => "No purchase needs attention.".to_owned(),
        1 => "1 purchase needs attention; `manage till orders --attention` shows it.".to_owned(),
        left => {
            format!("{left} purchases need attention; `manage till orders --attention` lists them.")
        }
    };
    Ok(match expired {
        0 => left,
        1 => format!("{left} 1 unpaid purchase was deleted."),
        expired => format!("{left} {expired} unpaid purchases were deleted."),
    })
}

/// Compares the purchases of the last `days` with Stripe's lists, and merges what no event told.
/// Prints a line for each purchase that was changed or restored, or that Stripe doesn't list.
///
/// # Errors
/// If there is a difference, fails with their number. Every other failure is a sentence for the
/// terminal.
pub async fn reconcile(target: &Target, days: u64) -> Result<String, String> {
    let mut differences = 0_u64;
    in_store(target, async |opened| {
        let stripe = stripe(opened).await?;
        payments::compare(
            &opened.app,
            &stripe,
            days,
            Cure::Restore,
            |Difference { order, line, .. }| {
                differences += 1;
                say!("{order}: {line}");
            },
        )
        .await
        .map_err(sentence)
    })
    .await?;
    match differences {
        0 => Ok("no difference".into()),
        differences => Err(counted(differences, "difference")),
    }
}

/// Returns the client of Stripe's API, with the API key in the environment, or else in the settings
/// of the store's functions. An operator's credentials read the secret of a deployed stack.
async fn stripe(Opened { app, settings, aws, is_deployed, .. }: &Opened) -> Result<Stripe, String> {
    let broken = |error: &dyn std::fmt::Display| format!("{error}.");
    let ours = StripeConfig::read(&Settings::from_env()).map_err(|error| broken(&error))?;
    let theirs = StripeConfig::read(settings).map_err(|error| broken(&error))?;
    // The stack's mode counts, unless the environment has another one.
    let mode = if std::env::var("STRIPE_MODE").is_ok() { ours.mode } else { theirs.mode };
    let config = if ours.key.is_some() { ours } else { theirs };
    let key = config
        .key
        .as_ref()
        .ok_or("Export STRIPE_API_KEY: the API key, or the ARN of its secret.")?;
    if matches!(key, Secret::Arn(_)) && !is_deployed {
        return Err("STRIPE_API_KEY is the ARN of a secret, which a data folder can't read. Export the API key itself, or use --stack NAME.".into());
    }
    let key = secrets::read(key, aws).await.map_err(|error| format!("STRIPE_API_KEY: {error}."))?;
    let config = StripeConfig { key: Some(Secret::Value(key)), mode, ..config };
    let stripe =
        Stripe::connect(&config, app.clock.clone()).await.map_err(|error| broken(&error))?;
    stripe.ok_or_else(|| "STRIPE_API_KEY is empty.".to_owned())
}
