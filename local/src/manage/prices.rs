//! `farebox manage models`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use shared::App;
use shared::store::SetPricesOutcome;
use shared::values::{Fare, NewField, PriceList};

use super::target::{Missing, Opened, Target};
use super::{counted, sentence};
use crate::list_file;

/// Why a deployed price list is changed only after a confirmation.
const UNCONFIRMED: &str = "A release without price lists ignores `model` and `max_cost`. Add --yes \
    when no alias is split between two releases, and the release before this one has price lists.";

/// The same explanation, for a list with a system prompt.
const UNCONFIRMED_SYSTEM_PROMPT: &str = "A release before 0.15.0 can't read a price list with a \
    system prompt, and then answers no messages. Add --yes when no alias is split between two \
    releases, and the release before this one is 0.15.0 or later.";

/// The explanation for a list with fields that earlier releases can't read.
fn unconfirmed_field(NewField { field, since }: &NewField) -> String {
    format!(
        "A release before {since} can't read a price list with {field}, and then answers no \
         messages. Add --yes when no alias is split between two releases, and the release before \
         this one is {since} or later."
    )
}

/// The model token counts of the example that `show` and `check` price: those of the prompt and of
/// the answer.
const EXAMPLE: (u64, u64) = (1000, 500);

/// Show, check, set or remove the price list
#[derive(Subcommand)]
pub(super) enum Command {
    /// Show the price list
    Show {
        /// An earlier version
        version: Option<String>,
    },
    /// Check a price list without setting it
    Check {
        /// The file with the list
        file: PathBuf,
    },
    /// Set the price list. Functions use it within a minute
    Set {
        /// The file with the list
        file: PathBuf,
        #[command(flatten)]
        ready: Ready,
    },
    /// Remove the price list, so that every message costs CHAT_PRICE
    Remove {
        #[command(flatten)]
        ready: Ready,
    },
}

#[derive(Args)]
pub(super) struct Ready {
    /// Confirm that every running function can read the price list. Only needed for tables on AWS
    #[arg(long)]
    yes: bool,
}

impl Command {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        match self {
            Self::Show { version } => {
                let version = version.as_deref();
                target.in_store(async |Opened { app, .. }| show(app, version).await).await
            }
            Self::Check { file } => check(&file),
            Self::Set { file, ready } => set(target, Some(list_file::read(&file)?), ready).await,
            Self::Remove { ready } => set(target, None, ready).await,
        }
    }
}

/// Shows the current price list, or an earlier version: as JSON, with its author and time.
async fn show(app: &App, version: Option<&str>) -> Result<String, String> {
    let stored = match version {
        None => app.store.prices().await,
        Some(version) => app.store.prices_of(version).await,
    };
    match (stored.map_err(sentence)?, version) {
        (Some(stored), _) => list_file::show(&stored),
        (None, None) => Ok("There is no price list: every message costs CHAT_PRICE.".into()),
        (None, Some(version)) => Err(format!("The price list never had the version {version:?}.")),
    }
}

/// Checks a price list, and says what an example message costs with each model.
fn check(file: &Path) -> Result<String, String> {
    let list: PriceList = list_file::read(file)?;
    let (prompt, answer) = EXAMPLE;
    let mut lines = format!(
        "{}, version {}. A prompt of {prompt} model tokens and an answer of {answer} cost:",
        counted(list.models.len(), "model"),
        list.version()
    );
    for model in &list.models {
        let price = match model.fare {
            Fare::Message(price) => price,
            Fare::Usage(rates) => rates.price(prompt, 0, 0, answer),
        };
        let alone = if model.kind.is_chat() { "" } else { ", for the prompt alone" };
        write!(lines, "\n{}: {price} tokens{alone}", model.name)
            .map_err(|error| error.to_string())?;
    }
    Ok(lines)
}

/// Sets or removes the price list. On AWS, the operator must confirm that all functions run a
/// release that can read the list.
async fn set(target: &Target, list: Option<PriceList>, ready: Ready) -> Result<String, String> {
    let list = list.as_ref();
    target
        .acting(Missing::Create, async |Opened { app, is_deployed, .. }| {
            if *is_deployed && !ready.yes {
                let fields = list.map(PriceList::new_fields).unwrap_or_default();
                let has_system_prompt = list.is_some_and(PriceList::has_system_prompt);
                return Err(match fields.first() {
                    Some(field) => unconfirmed_field(field),
                    None if has_system_prompt => UNCONFIRMED_SYSTEM_PROMPT.into(),
                    None => UNCONFIRMED.into(),
                });
            }
            match list_file::set(app, list).await.map_err(sentence)? {
                SetPricesOutcome::Set(Some(stored)) => Ok(format!(
                    "The price list {} is set. Functions use it within a minute.",
                    stored.of.version
                )),
                SetPricesOutcome::Set(None) => Ok(
                    "There is no price list now: every message costs CHAT_PRICE within a minute."
                        .into(),
                ),
                SetPricesOutcome::Changed => {
                    Err("Someone else has just changed the price list. Nothing was changed.".into())
                }
            }
        })
        .await
}
