//! Generates the table of failures in docs/use/failures.md.

use shared::config::{AccountConfig, Config, ConfigError, EdgeConfig, Settings};
use shared::error::{self, ExampleSettings};

use crate::Failure;
use crate::files::Files;

const HEAD: &str = "| status | code | when | `detail`, for example |\n|---|---|---|---|\n";

pub fn generate(files: &mut Files) -> Result<(), Failure> {
    let (config, accounts, edge) = defaults().map_err(|error| error.to_string())?;
    let examples = ExampleSettings { config: &config, accounts: &accounts, edge: &edge };
    let mut failures = error::Failure::all().to_vec();
    // Failures with the same status are kept in the order of their rows.
    failures.sort_by_key(|failure| failure.status().as_u16());
    let mut rows = String::new();
    for failure in failures {
        let (when, detail) = (failure.about(), failure.example(&examples).detail());
        if when.is_empty() || when.contains('|') || detail.contains(['|', '\n']) {
            let name = failure.name();
            return Err(format!("{name}'s description or sentence breaks its table").into());
        }
        let (status, code) = (failure.status().as_u16(), failure.code());
        rows += &format!("| {status} | `{code}` | {when} | {detail} |\n");
    }
    files.put_part("docs/use/failures.md", "failures", &format!("\n{HEAD}{rows}\n"))
}

/// Reads the settings' defaults. The names of the tables are the only settings without defaults.
fn defaults() -> Result<(Config, AccountConfig, EdgeConfig), ConfigError> {
    let settings = Settings::new(|name| name.ends_with("_TABLE").then(|| name.to_owned()));
    Ok((Config::read(&settings)?, AccountConfig::read(&settings)?, EdgeConfig::read(&settings)?))
}
