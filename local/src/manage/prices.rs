//! The commands for the price list.

use std::fmt::Write;
use std::path::Path;

use shared::store::SetPricesOutcome;
use shared::values::{Fare, PriceList};

use crate::offer_file;

use super::{Opened, Target, counted, in_new_store, in_store, sentence};

/// Why a deployed price list is changed only after a confirmation.
const UNCONFIRMED: &str = "A release without price lists ignores `model` and `max_cost`. Add --yes when no alias is split between two releases, and the release before this one has price lists.";

/// The same for a list with a system prompt.
const UNCONFIRMED_SYSTEM_PROMPT: &str = "A release before 0.15.0 can't read a price list with a system prompt, and then answers no messages. Add --yes when no alias is split between two releases, and the release before this one is 0.15.0 or later.";

/// The numbers of model tokens in the example that `show` and `check` price.
const EXAMPLE: (u64, u64) = (1000, 500);

/// Shows the current price list, or an earlier version: as JSON, with its author and time.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn show(target: &Target, version: Option<&str>) -> Result<String, String> {
    let stored = in_store(target, async |Opened { app, .. }| {
        let stored = match version {
            None => app.store.prices().await,
            Some(version) => app.store.prices_of(version).await,
        };
        stored.map_err(sentence)
    })
    .await?;
    match (stored, version) {
        (Some(stored), _) => offer_file::show(&stored),
        (None, None) => Ok("There is no price list: every message costs CHAT_PRICE.".into()),
        (None, Some(version)) => Err(format!("The price list never had the version {version:?}.")),
    }
}

/// Checks a price list, and says what an example message costs with each model.
///
/// # Errors
/// As [`offer_file::read`].
pub fn check(file: &Path) -> Result<String, String> {
    let list: PriceList = offer_file::read(file)?;
    let (prompt, answer) = EXAMPLE;
    let mut lines = format!(
        "{}, version {}. A prompt of {prompt} model tokens and an answer of {answer} cost:",
        counted(list.models.len(), "model"),
        list.version()
    );
    for model in &list.models {
        let price = match model.fare {
            Fare::Message(price) => price,
            Fare::Usage(rates) => rates.price(prompt, 0, answer),
        };
        write!(lines, "\n{}: {price} tokens", model.name).map_err(|error| error.to_string())?;
    }
    Ok(lines)
}

/// Sets the price list from a file, or removes it without a file. On AWS, `is_ready` must confirm
/// that all functions run a release that can read the list.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn set(target: &Target, file: Option<&Path>, is_ready: bool) -> Result<String, String> {
    let list = file.map(offer_file::read::<PriceList>).transpose()?;
    let set = in_new_store(target, async |Opened { app, is_deployed, .. }| {
        if *is_deployed && !is_ready {
            let has_system_prompt = list.as_ref().is_some_and(PriceList::has_system_prompt);
            let why = if has_system_prompt { UNCONFIRMED_SYSTEM_PROMPT } else { UNCONFIRMED };
            return Err(why.into());
        }
        offer_file::set(app, list.as_ref()).await.map_err(sentence)
    })
    .await?;
    match set {
        SetPricesOutcome::Set(Some(stored)) => Ok(format!(
            "The price list {} is set. Functions use it within a minute.",
            stored.of.version
        )),
        SetPricesOutcome::Set(None) => {
            Ok("There is no price list now: every message costs CHAT_PRICE within a minute.".into())
        }
        SetPricesOutcome::Changed => {
            Err("Someone else has just changed the price list. Nothing was changed.".into())
        }
    }
}
