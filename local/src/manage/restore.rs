//! The commands for restored tables, `farebox manage reapply` and `reconcile`. The environment
//! names the tables. The variables for the newer tables have the prefix `NEWER_`. A newer table is
//! read only if its variable is set.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;
use shared::App;
use shared::clock::{self, Clock};
use shared::config::Settings;
use shared::passwords;
use shared::store::{NewerTables, ReapplyInput, ReapplyReport};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::stack::TABLES;
use super::target::{Target, connect};
use super::{counted, sentence};
use crate::{note, say};

/// In restored tables, end the accounts, sessions, keys and links that have ended since the
/// restore point
#[derive(Args)]
pub(super) struct Reapply {
    /// The second to which the tables were restored, such as 2026-11-21T10:00:00Z
    second: String,
    /// A file with the ids of the accounts that were deleted since the restore point, one per line
    #[arg(long, value_name = "FILE")]
    deleted: Option<PathBuf>,
    /// Also delete the messages that are missing from the newer tables
    #[arg(long)]
    deleted_messages: bool,
}

impl Reapply {
    /// Also fails if no file lists the deleted accounts, and the newer tables don't show which
    /// accounts were deleted.
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        let second = second_of(&self.second, Clock::default().seconds())?;
        let deleted = self.deleted.as_deref().map(ids_in).transpose()?;
        let messages = self.deleted_messages;
        let restored = open(target).await?;
        let is_named = |table: &str| variable(&format!("NEWER_{table}")).is_some();
        let newer = NewerTables {
            store: connect(Settings::new(newer_variable), None).await?.app.store,
            users: is_named("USERS_TABLE"),
            tokens: is_named("TOKENS_TABLE"),
            keys: is_named("KEYS_TABLE"),
        };
        if !newer.users && deleted.is_none() {
            return Err(
                "Without the newer table Users, --deleted FILE must list the ids of the accounts \
                 that were deleted since the restore point."
                    .into(),
            );
        }
        if messages && !is_named("CHATS_TABLE") {
            return Err("--deleted-messages needs the newer table Chats.".into());
        }
        let no_password = passwords::none().map_err(sentence)?;
        let since = ReapplyInput {
            second,
            newer: &newer,
            deleted: deleted.as_ref(),
            messages,
            no_password: &no_password,
        };
        let done = restored.store.reapply(&since, &restored.clock).await.map_err(sentence)?;
        let done = done.ok_or_else(in_use)?;
        for account in &done.unclear {
            say!("{account} may have been deleted or lost");
        }
        match done.unclear.len() {
            0 => Ok(summary(&done)),
            unclear => Err(format!(
                "{}. The newer table lacks {}: list the ids of the deleted accounts in a file, and run this again with --deleted FILE.",
                summary(&done),
                counted(unclear, "other account")
            )),
        }
    }
}

fn summary(done: &ReapplyReport) -> String {
    let ended = done.ended().map(|(number, what)| counted(number, what));
    format!(
        "Ended again: {}. {} came back",
        ended.join(", "),
        counted(done.returned, "lost account")
    )
}

/// Complete or undo the transactions that a restore has cut in two
#[derive(Args)]
pub(super) struct Reconcile {
    /// The second to which the tables were restored, such as 2026-11-21T10:00:00Z
    second: String,
}

impl Reconcile {
    /// Prints a line for each repair.
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        let second = second_of(&self.second, Clock::default().seconds())?;
        let app = open(target).await?;
        let done = app.store.reconcile(second, &app.clock).await.map_err(sentence)?;
        let done = done.ok_or_else(in_use)?;
        for repair in &done.repairs {
            say!("{repair}");
        }
        let (accounts, repairs) = (done.accounts, done.repairs.len());
        Ok(format!("{}, {}", counted(accounts, "account"), counted(repairs, "repair")))
    }
}

fn in_use() -> String {
    "These tables are in use: they have sessions from after that second. Nothing was changed."
        .into()
}

/// Opens the restored tables, which the environment must name.
async fn open(target: &Target) -> Result<App, String> {
    if target.folder.is_some() || target.stack.is_some() {
        return Err(
            "Restored tables belong to no stack and no folder: leave out --stack and --data, and \
             export the names of the tables."
                .into(),
        );
    }
    if TABLES.into_iter().any(|table| variable(table).is_none()) {
        return Err(format!("Export the names of the restored tables: {}.", TABLES.join(", ")));
    }
    let restored = connect(Settings::from_env(), None).await?;
    note!("Store: {}", restored.name);
    Ok(restored.app)
}

/// Returns a setting for the newer tables. A table that isn't read gets a name that can't exist.
fn newer_variable(name: &str) -> Option<String> {
    if !name.ends_with("_TABLE") {
        return variable(name);
    }
    variable(&format!("NEWER_{name}")).or_else(|| Some("-".into()))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Parses a time such as `2026-11-21T10:00:00Z`, which must be in the past, and returns it in
/// seconds since 1970. `now` is in seconds, too.
fn second_of(time: &str, now: u64) -> Result<u64, String> {
    let second = OffsetDateTime::parse(time, &Rfc3339)
        .ok()
        .and_then(|time| u64::try_from(time.unix_timestamp()).ok())
        .ok_or_else(|| format!("{time:?} is not a time such as 2026-11-21T10:00:00Z."))?;
    match second > now {
        true => {
            Err(format!("{time} isn't over: give the second to which the tables were restored."))
        }
        false => Ok(second),
    }
}

/// Reads the ids in a file, one per line.
fn ids_in(file: &Path) -> Result<HashSet<String>, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} can't be read: {error}.", file.display()))?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
    let ids = lines.map(|(number, line)| match clock::millis_of(line) {
        Some(_) => Ok(line.to_owned()),
        None => Err(format!(
            "{} must have an account's id in each line, and line {} has none.",
            file.display(),
            number + 1
        )),
    });
    ids.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_not_lists_of_ids() {
        let file = std::env::temp_dir().join(format!("farebox-{}.txt", uuid::Uuid::new_v4()));
        let id = "01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342";
        std::fs::write(&file, format!("\n{id}\r\n")).unwrap();
        assert_eq!(ids_in(&file), Ok(HashSet::from([id.to_owned()])));
        std::fs::write(&file, format!("{id}\nann\n")).unwrap();
        assert!(ids_in(&file).unwrap_err().contains("line 2 has none"));
        std::fs::remove_file(&file).unwrap();
    }

    #[test]
    fn restore_times_accept_operator_and_log_formats() {
        let second = 1_795_255_200;
        let now = second;
        assert_eq!(second_of("2026-11-21T10:00:00Z", now), Ok(second));
        assert_eq!(second_of("2026-11-21T11:00:00.250+01:00", now), Ok(second));
        for bad in ["", "2026-11-21", "2026-11-21 10:00", "1969-12-31T23:59:59Z"] {
            assert!(second_of(bad, now).is_err(), "{bad}");
        }
        // With a mistyped year in the future, `reapply` would find nothing to apply.
        assert!(second_of("2027-11-21T10:00:00Z", now).unwrap_err().contains("isn't over"));
    }
}
