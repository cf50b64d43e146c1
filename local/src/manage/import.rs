//! The command that imports the users, balances and messages of another system.

pub mod dump;
pub mod pace;
pub mod plan;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use futures_util::stream::{StreamExt, TryStreamExt, iter};
use indicatif::ProgressBar;
use shared::App;
use shared::clock::{self, Day, FIRST_DAY};
use shared::passwords::DjangoHash;
use shared::store::{HashCounts, ImportOutcome};
use shared::values::{ImportedHashes, Imports, turns_text};
use uuid::Uuid;

use self::dump::{BadRow, Choices, Dump, Models, Row};
use self::pace::{AT_A_TIME, Pace, Stop, Waits};
use self::plan::{ADDRESS_TAKEN, NAME_TAKEN, Plan, PlannedChat, PlannedUser, Rules, WAS_IMPORTED};
use super::{Missing, Opened, Target, counted, progress, sentence, work_in};
use crate::{note, say};

/// More messages than one transaction stores. A throttled transaction is repeated with half as many
/// messages, because a partition may never accept a large one.
const TOGETHER: usize = 64;

/// The time after which every function knows a new record of imports, which functions keep for a
/// minute.
const KNOWN_AFTER: Duration = Duration::from_secs(61);

/// The largest difference between two times of one message in milliseconds. The formats of dumps
/// have different precisions.
const SAME_TIME: u64 = 1000;

/// The reason for refusing a message whose primary key another message had in an earlier import.
const CHAT_TAKEN: &str = "a message with this primary key and another time was imported before; a --name has messages of one chat model";

/// The maximum length of an import's name, in characters.
const NAME_LENGTH: usize = 40;

/// An import, as the operator asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// The dump.
    pub file: &'a Path,
    /// The import's name, which distinguishes the data of several systems.
    pub name: &'a str,
    /// The operator's choices of models that can't be found by their fields.
    pub choices: Choices<'a>,
    /// True if superusers become administrators.
    pub superusers: bool,
    /// True if users whose password can't be checked are imported, and set a new one by e-mail.
    pub reset_passwords: bool,
    /// False for a dry run, which writes nothing.
    pub apply: bool,
    /// Confirms that every running function supports imported password hashes.
    pub is_ready: bool,
}

/// Imports the users and messages of a Django system. Prints a line for each row that isn't
/// imported. A dry run says what would be imported.
///
/// # Errors
/// If rows are refused, fails with their number after everything else was imported. Every other
/// failure is a sentence for the terminal.
pub async fn django(target: &Target, import: Import<'_>) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if import.name.is_empty()
        || import.name.len() > NAME_LENGTH
        || !import.name.chars().all(is_name)
    {
        return Err(format!(
            "--name must have 1 to {NAME_LENGTH} lower-case letters, digits and hyphens."
        ));
    }
    let dump = Dump::open(import.file, &import.choices).map_err(|why| printable(&why))?;
    let missing = if import.apply { Missing::Create } else { Missing::Imagine };
    let opened = target.open(missing).await?;
    work_in(opened, async |Opened { app, is_deployed, is_shared, .. }| {
        if import.apply && *is_shared && !is_deployed {
            return Err("A server has this data folder open, and might run another release. Stop the server first.".into());
        }
        into_store(app, &dump, import, !is_shared, Waits::default()).await
    })
    .await
}

/// Like [`django`], but imports into the store of `app`. `is_alone` confirms that no function uses
/// the store. `waits` says how long the import waits while DynamoDB throttles it.
///
/// # Errors
/// As [`django`].
pub async fn into_store(
    app: &App,
    dump: &Dump,
    import: Import<'_>,
    is_alone: bool,
    waits: Waits,
) -> Result<String, String> {
    let Import { name, superusers, reset_passwords, .. } = import;
    // Functions that have run on these tables have published a public key.
    let is_served = !is_alone && !app.store.public_keys().await.map_err(sentence)?.is_empty();
    if import.apply && is_served && !import.is_ready {
        return Err("A release without imported password hashes refuses the log-ins of imported users. Add --yes when no alias is split between two releases, and all functions run this release.".into());
    }
    let rules = Rules { name, superusers, reset_passwords, now: app.clock.millis() };
    let plan = Plan::make(app, dump, rules).await?;
    for BadRow { row, reason } in &plan.refused {
        say!("{}", line(row, reason));
    }
    let mut refused = plan.refused.len();
    let done = match import.apply {
        false => {
            let described = describe(dump, &plan);
            format!("{described}\nNothing was written. --apply imports this.")
        }
        true => {
            if record(app, &plan).await? && is_served {
                note!("Waiting for a minute, until every function knows of the import.");
                tokio::time::sleep(KNOWN_AFTER).await;
            }
            let done = apply(app, dump, plan, rules, waits).await?;
            refused += done.refused;
            done.to_string()
        }
    };
    if refused == 0 {
        return Ok(done);
    }
    say!("{done}");
    Err(format!("{} can't be imported, as listed.", counted(refused, "row")))
}

/// Returns the line as a terminal can show it. Names and keys come from strangers, who must not
/// control the operator's terminal or forge lines.
fn printable(line: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !turns_text(c);
    let shown = |c: char| match is_plain(c) {
        true => c.to_string(),
        false => c.escape_unicode().to_string(),
    };
    line.chars().map(shown).collect()
}

/// Returns the line that reports a row.
fn line(row: &Row, reason: &str) -> String {
    printable(&format!("{row}: {reason}"))
}

/// Says what would be imported.
fn describe(dump: &Dump, plan: &Plan) -> String {
    let Models { users, tokens, chats } = dump.models();
    let (mut balances, mut new, mut administrators) = (0_u128, 0_u64, 0_u64);
    for user in plan.new_users() {
        new += 1;
        balances += u128::from(user.account.granted.get());
        administrators += u64::from(user.account.administers());
    }
    let known = u64::try_from(plan.users.len()).unwrap_or(u64::MAX) - new;
    let mut text = format!(
        "{} from {}: {}, with {balances} tokens from {}; {known} imported before",
        counted(plan.users.len(), "user"),
        printable(&users),
        counted(new, "new account"),
        printable(&tokens),
    );
    let chats = match chats {
        Some(model) => format!("{} from {}", counted(plan.chats, "message"), printable(&model)),
        None => "no messages: no model has the user, a message, a response and a time".to_owned(),
    };
    // Writing to a text never fails.
    let _ = write!(text, "\n{chats}");
    if let Some(first) = plan.first_day() {
        let _ = write!(text, "\noldest data: {first}");
    }
    for (kind, (_, count)) in plan.new_hashes() {
        let _ = write!(text, "\n{} of the kind {kind}", counted(count, "password"));
    }
    let reset = plan.new_users().filter(|user| user.hash.is_none()).count();
    if reset > 0 {
        let _ = write!(text, "\n{} to be set again by e-mail", counted(reset, "password"));
    }
    if administrators > 0 {
        let _ = write!(text, "\n{}", counted(administrators, "administrator"));
    }
    if plan.demoted > 0 {
        let demoted = counted(plan.demoted, "superuser");
        let _ = write!(text, "\n{demoted} without rights here; --superusers makes administrators");
    }
    text
}

/// Records the hashes and the first day before anything is imported. Returns false if the record
/// needn't change.
async fn record(app: &App, plan: &Plan) -> Result<bool, String> {
    let Some(first) = plan.first_day() else { return Ok(false) };
    let added = plan.new_hashes();
    loop {
        let before = app.store.imports().await.map_err(sentence)?;
        let is_recorded = before.as_ref().is_some_and(|before| before.first_day <= first.number());
        if is_recorded && plan.new_users().next().is_none() {
            return Ok(false);
        }
        let counts = app.store.count_hashes().await.map_err(sentence)?;
        let new = recorded(before.as_ref(), &counts, plan, &added)?;
        let seen = before.as_ref().map(|before| before.version.as_str());
        if app.store.record_imports(&new, seen).await.map_err(sentence)? {
            return Ok(true);
        }
    }
}

/// Returns the record after the import of this plan.
fn recorded(
    before: Option<&Imports>,
    counts: &HashCounts,
    plan: &Plan,
    added: &BTreeMap<String, (&DjangoHash, u64)>,
) -> Result<Imports, String> {
    let first = plan.first_day().unwrap_or(FIRST_DAY).number();
    let new = u64::try_from(plan.new_users().count()).unwrap_or(u64::MAX);
    let accounts = counts.accounts.saturating_add(new);
    let mut kinds = counts.kinds.clone();
    for (kind, (_, count)) in added {
        *kinds.entry(kind.clone()).or_default() += count;
    }
    let known = before.map(|before| before.hashes.as_slice()).unwrap_or_default();
    // Another import may have recorded accounts that it hasn't created yet.
    for known in known {
        let left = kinds.entry(known.kind.clone()).or_default();
        *left = known.left.max(*left);
    }
    let mut hashes = Vec::new();
    for (kind, left) in kinds {
        let decoy = match (known.iter().find(|known| known.kind == kind), added.get(&kind)) {
            (Some(known), _) => known.decoy.clone(),
            (None, Some((hash, _))) => hash.decoy().map_err(sentence)?,
            // Without a hash of this kind in the record or in this import, no decoy can be made.
            (None, None) => continue,
        };
        hashes.push(ImportedHashes { kind, decoy, imported: left, left });
    }
    Ok(Imports {
        version: Uuid::new_v4().to_string(),
        first_day: before.map_or(first, |before| before.first_day.min(first)),
        key: before.map_or_else(|| Uuid::new_v4().to_string(), |before| before.key.clone()),
        accounts,
        accounts_now: accounts,
        is_unfinished: true,
        hashes,
    })
}

/// The numbers of accounts, messages and refused rows of an import so far.
#[derive(Default)]
struct Done {
    accounts: u64,
    tokens: u128,
    chats: u64,
    accounts_before: u64,
    chats_before: u64,
    /// The number of refused rows. Each was printed.
    refused: usize,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.accounts += other.accounts;
        self.tokens += other.tokens;
        self.chats += other.chats;
        self.accounts_before += other.accounts_before;
        self.chats_before += other.chats_before;
        self.refused += other.refused;
    }

    /// Reports a row that can't be imported.
    fn refuse(&mut self, row: &Row, reason: &str, bar: &ProgressBar) {
        bar.suspend(|| say!("{}", line(row, reason)));
        self.refused += 1;
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} with {} tokens and {} imported; {} and {} imported before",
            counted(self.accounts, "account"),
            self.tokens,
            counted(self.chats, "message"),
            counted(self.accounts_before, "account"),
            counted(self.chats_before, "message"),
        )
    }
}

/// Imports the users with their chats.
async fn apply(
    app: &App,
    dump: &Dump,
    plan: Plan,
    rules: Rules<'_>,
    waits: Waits,
) -> Result<Done, String> {
    let first = plan.first_day();
    let bar = progress("messages");
    bar.set_length(plan.chats);
    let pace = Pace::new(waits, bar.clone());
    let users = plan.users.into_iter().map(|user| {
        let (chats, pace, bar) = (user.chats(dump, rules), &pace, &bar);
        async move {
            let imported = import_user(app, pace, &user, chats, bar).await;
            imported.map_err(|stop| match stop {
                Stop::Failed(error) => line(&user.row, &sentence(error)),
                Stop::Standstill(why) => why,
            })
        }
    });
    let mut done = Done::default();
    let mut imported = iter(users).buffer_unordered(AT_A_TIME);
    while let Some(user) = imported.try_next().await? {
        done.add(user);
    }
    bar.finish_and_clear();
    // Also without new chats, because an earlier run may have been killed before this step.
    if let Some(first) = first {
        let today = Day::from_millis(app.clock.millis());
        let forget = async |_: u32| app.store.forget_figures(first, today).await;
        pace.keep(forget).await.map_err(Stop::sentence)?;
    }
    let end = async |_: u32| app.store.end_import().await;
    pace.keep(end).await.map_err(Stop::sentence)?;
    Ok(done)
}

/// Imports a user, and the user's chats that aren't stored yet.
async fn import_user(
    app: &App,
    pace: &Pace,
    user: &PlannedUser,
    mut chats: Vec<PlannedChat>,
    bar: &ProgressBar,
) -> Result<Done, Stop> {
    let mut done = Done::default();
    let account = &user.account;
    let import = async |_: u32| {
        let source = user.source.clone();
        app.store.import_account(account, user.email.as_ref(), source).await
    };
    let refusal = match pace.keep(import).await? {
        ImportOutcome::New => {
            done.accounts = 1;
            done.tokens = account.granted.get().into();
            None
        }
        ImportOutcome::Known => {
            done.accounts_before = 1;
            done.add(forget_stored(app, pace, user, &mut chats, bar).await?);
            None
        }
        ImportOutcome::Deleted => Some(WAS_IMPORTED),
        ImportOutcome::NameTaken => Some(NAME_TAKEN),
        ImportOutcome::AddressTaken => Some(ADDRESS_TAKEN),
    };
    if let Some(reason) = refusal {
        done.refuse(&user.row, reason, bar);
        return Ok(done);
    }
    let mut most = TOGETHER;
    while !chats.is_empty() {
        let left = chats.len();
        let import = async |throttled: u32| {
            if throttled > 0 {
                most = (most / 2).max(1);
            }
            let next = chats.iter().take(most).map(|planned| &planned.chat);
            app.store.import_chats(account, next).await
        };
        match pace.keep(import).await? {
            Some(count) => {
                chats.drain(..count);
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                done.chats += count;
                bar.inc(count);
            }
            None => done.add(forget_stored(app, pace, user, &mut chats, bar).await?),
        }
        most = (2 * most).min(TOGETHER);
        if chats.len() == left {
            done.refuse(&user.row, "the account was deleted meanwhile", bar);
            break;
        }
    }
    Ok(done)
}

/// Removes the chats that are stored already, or were stored and deleted. Compares only the hashes
/// in the ids: the rest of an id changes with the other messages of the same millisecond. Refuses a
/// message whose time has changed, because it may be another message, of another model.
async fn forget_stored(
    app: &App,
    pace: &Pace,
    user: &PlannedUser,
    chats: &mut Vec<PlannedChat>,
    bar: &ProgressBar,
) -> Result<Done, Stop> {
    let read = async |_: u32| app.store.row_ids(&user.account.id).await;
    let rows = pace.keep(read).await?;
    let time_and_hash = |id: &String| Some((clock::foreign_hash(id)?, clock::millis_of(id)?));
    let stored: HashMap<u64, u64> = rows.iter().filter_map(time_and_hash).collect();
    let mut done = Done::default();
    chats.retain(|PlannedChat { row, chat }| {
        let hash = clock::foreign_hash(&chat.chat_id);
        let Some(time) = hash.and_then(|hash| stored.get(&hash)) else { return true };
        match time.abs_diff(chat.time) < SAME_TIME {
            true => done.chats_before += 1,
            false => done.refuse(row, CHAT_TAKEN, bar),
        }
        bar.inc(1);
        false
    });
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn lines_cannot_control_the_terminal() {
        assert_eq!(
            printable("shop.user 1: \u{1b}[2J\n\u{202e}é"),
            "shop.user 1: \\u{1b}[2J\\u{a}\\u{202e}é"
        );
    }
}
