//! Price lists in files.

use std::path::Path;

use shared::App;
use shared::store::{Result, SetPricesOutcome};
use shared::values::{PriceList, Problem};

/// Reads a price list from a file. Each problem is a line of the failure.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub fn read(file: &Path) -> Result<PriceList, String> {
    let json = std::fs::read_to_string(file)
        .map_err(|error| format!("{} can't be read: {error}.", file.display()))?;
    json.parse().map_err(|problems: Vec<Problem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let number = match lines.len() {
            1 => "1 problem".to_owned(),
            several => format!("{several} problems"),
        };
        format!("{} has {number}:\n{}", file.display(), lines.join("\n"))
    })
}

/// Sets or removes the price list, whichever version is current.
///
/// # Errors
/// The errors of [`Store::set_offer`](shared::store::Store::set_offer).
pub async fn set(app: &App, list: Option<&PriceList>) -> Result<SetPricesOutcome> {
    let seen = app.store.prices().await?;
    let seen = seen.as_ref().map(|seen| seen.of.version.as_str());
    app.store.set_offer(None, list, seen, &app.clock).await
}
