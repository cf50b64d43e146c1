//! Reads price lists and packs from files, and shows them in the terminal.

use std::path::Path;

use serde::Serialize;
use shared::store::{Result, SetListOutcome, StoredList, VersionedList};
use shared::values::Problem;
use shared::{App, clock};

/// Reads a list to set from a file. The failure contains a line for each problem.
///
/// # Errors
/// Fails with an error message for the terminal.
pub fn read<L: VersionedList>(file: &Path) -> Result<L, String> {
    let json = std::fs::read_to_string(file)
        .map_err(|error| format!("{} can't be read: {error}.", file.display()))?;
    json.parse::<L>().map_err(|problems: Vec<Problem>| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let number = match lines.len() {
            1 => "1 problem".to_owned(),
            several => format!("{several} problems"),
        };
        format!("{} has {number}:\n{}", file.display(), lines.join("\n"))
    })
}

/// Sets or removes a list, regardless of the current version. Also replaces a list that this
/// release can't read.
///
/// # Errors
/// Fails like [`Store::set_list`](shared::store::Store::set_list).
pub async fn set<L: VersionedList>(app: &App, list: Option<&L>) -> Result<SetListOutcome<L>> {
    let seen = app.store.current_version::<L>().await?;
    let seen = seen.as_ref().map(|(seen, _)| seen.version.as_str());
    app.store.set_list(None, list, seen, &app.clock).await
}

/// Shows a list as JSON, with its version, time and author.
///
/// # Errors
/// Fails if the list can't be written as JSON.
pub fn show<L: Serialize>(StoredList { list, of }: &StoredList<L>) -> Result<String, String> {
    let json = serde_json::to_string_pretty(list).map_err(|error| error.to_string())?;
    Ok(format!("{json}\nversion {}, {} by {}", of.version, clock::rfc3339(of.time), of.author))
}
