//! `farebox manage till`: packs, purchases and payments.

use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;
use shared::config::{Secret, Settings, StripeConfig};
use shared::payments::{self, Difference, Repair};
use shared::secrets;
use shared::store::{Order, SetListOutcome};
use shared::stripe::Stripe;
use shared::values::{Packs, Stranded, money};
use shared::view::Purchase;
use shared::{App, Credits, clock};

use super::target::{Missing, Opened, Target};
use super::{counted, json_lines, sentence};
use crate::list_file;
use crate::say;

/// Manage packs and purchases, and compare payments with Stripe
#[derive(Subcommand)]
pub(super) enum Command {
    #[command(subcommand, arg_required_else_help = false)]
    Packs(PacksCommand),
    /// List the purchases, newest first
    Orders {
        /// List only purchases for which tokens are owed, whose tokens couldn't be granted, or that
        /// a bank disputes
        #[arg(long)]
        attention: bool,
        /// Print JSON, an object per line, with the fields of a purchase in the API, the buyer's
        /// `user_id`, and in `stranded` why tokens couldn't be granted, or null
        #[arg(long)]
        json: bool,
    },
    /// Take the tokens owed for refunded purchases, and delete purchases that were not paid for
    /// within a week
    Collect,
    /// Compare the purchases with Stripe's lists, and catch up on missed events. The API key is the
    /// stack's, or STRIPE_API_KEY
    Reconcile {
        /// The number of days to compare
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3650))]
        days: u64,
    },
}

/// Show, set or remove the packs that users can buy
#[derive(Subcommand)]
pub(super) enum PacksCommand {
    /// Show the packs
    Show,
    /// Set the packs
    Set {
        /// The file with the packs
        file: PathBuf,
    },
    /// Sell nothing any more
    Remove,
}

impl Command {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Packs(PacksCommand::Show) => target.in_store(show_packs).await,
            Self::Packs(PacksCommand::Set { file }) => {
                set_packs(target, Some(list_file::read(&file)?)).await
            }
            Self::Packs(PacksCommand::Remove) => set_packs(target, None).await,
            Self::Orders { attention, json } => {
                target.in_store(async |Opened { app, .. }| orders(app, attention, json).await).await
            }
            Self::Collect => target.in_store(collect).await,
            Self::Reconcile { days } => {
                target.in_store(async |opened| reconcile(opened, days).await).await
            }
        }
    }
}

/// Shows the packs as JSON, with their author and time.
async fn show_packs(Opened { app, .. }: &Opened) -> Result<String, String> {
    match app.store.packs().await.map_err(sentence)? {
        Some(stored) => list_file::show(&stored),
        None => Ok("There are no packs: nothing is sold.".into()),
    }
}

/// Sets or removes the packs.
async fn set_packs(target: &Target, packs: Option<Packs>) -> Result<String, String> {
    let packs = packs.as_ref();
    target
        .acting(Missing::Create, async |Opened { app, .. }| {
            match list_file::set(app, packs).await.map_err(sentence)? {
                SetListOutcome::Set(Some(stored)) => Ok(format!(
                    "{} can be bought now, version {}.",
                    counted(stored.list.packs.len(), "pack"),
                    stored.of.version
                )),
                SetListOutcome::Set(None) => Ok("Nothing is sold now.".into()),
                SetListOutcome::Changed => {
                    Err("Someone else has just changed the packs. Nothing was changed.".into())
                }
            }
        })
        .await
}

/// A purchase in JSON.
#[derive(Serialize)]
struct OrderLine<'a> {
    #[serde(flatten)]
    purchase: Purchase<'a>,
    user_id: &'a str,
    stranded: Option<&'static str>,
}

impl<'a> OrderLine<'a> {
    fn of(order: &'a Order) -> Self {
        let stranded = order.stranded.map(Stranded::word);
        Self { purchase: Purchase::of(order), user_id: &order.account, stranded }
    }
}

/// Lists the purchases, one per line, newest first.
async fn orders(app: &App, attention: bool, json: bool) -> Result<String, String> {
    let orders = match attention {
        true => waiting(app).await?,
        false => app.store.orders_since(0).await.map_err(sentence)?,
    };
    if json {
        return json_lines(orders.iter().map(OrderLine::of));
    }
    let line = |order: &Order| {
        let Order { account, price, currency, granted, owed, .. } = order;
        let mut line = format!(
            "{}  {}  {}, {}, {granted} of {} tokens given",
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

/// Returns all purchases that an administrator should look at, newest first.
async fn waiting(app: &App) -> Result<Vec<Order>, String> {
    let (mut pages, mut all) = (app.store.all_orders_to_look_at(), Vec::new());
    while let Some(page) = pages.next().await.map_err(sentence)? {
        all.extend(page);
    }
    Ok(all)
}

/// Deducts the tokens owed for refunded purchases, as far as the balances allow, and deletes old
/// purchases that were never paid for.
async fn collect(Opened { app, .. }: &Opened) -> Result<String, String> {
    let left = app.store.collect(&app.clock).await;
    let expired = app.store.expire_orders(&app.clock).await;
    let (left, expired) = (left.map_err(sentence)?, expired.map_err(sentence)?);
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

/// Compares the purchases of the last `days` days with Stripe's lists, and applies changes that no
/// event reported. Prints a line for each purchase that was changed or restored, or that Stripe
/// doesn't list. If there are differences, fails with an error message that contains their number.
async fn reconcile(opened: &Opened, days: u64) -> Result<String, String> {
    let stripe = stripe(opened).await?;
    let mut differences = 0_u64;
    let differ = |Difference { order, line, .. }| {
        differences += 1;
        say!("{order}: {line}");
    };
    payments::compare_and_repair(&opened.app, &stripe, days, Repair::Restore, differ)
        .await
        .map_err(sentence)?;
    match differences {
        0 => Ok("no difference".into()),
        differences => Err(counted(differences, "difference")),
    }
}

/// Returns a client for Stripe's API. The API key is read from the environment or, if it isn't
/// there, from the settings of the store's functions. The operator's credentials are used to read
/// the secret of a deployed stack.
async fn stripe(Opened { app, settings, aws, is_deployed, .. }: &Opened) -> Result<Stripe, String> {
    let broken = |error: &dyn std::fmt::Display| format!("{error}.");
    let ours = StripeConfig::read(&Settings::from_env()).map_err(|error| broken(&error))?;
    let theirs = StripeConfig::read(settings).map_err(|error| broken(&error))?;
    // The stack's mode applies, unless the environment sets a different one.
    let mode = if std::env::var("STRIPE_MODE").is_ok() { ours.mode } else { theirs.mode };
    let config = if ours.key.is_some() { ours } else { theirs };
    let key = config
        .key
        .as_ref()
        .ok_or("Export STRIPE_API_KEY: the API key, or the ARN of its secret.")?;
    if matches!(key, Secret::Arn(_)) && !is_deployed {
        return Err(
            "STRIPE_API_KEY is the ARN of a secret, which a data folder can't read. Export the API \
             key itself, or use --stack NAME."
                .into(),
        );
    }
    let key = secrets::read(key, aws).await.map_err(|error| format!("STRIPE_API_KEY: {error}."))?;
    let config = StripeConfig { key: Some(Secret::Value(key)), mode, ..config };
    let stripe =
        Stripe::connect(&config, app.clock.clone()).await.map_err(|error| broken(&error))?;
    stripe.ok_or_else(|| "STRIPE_API_KEY is empty.".to_owned())
}
