//! `farebox manage import`: the users, balances and messages of another system.

pub mod dump;
pub mod pace;
pub mod plan;
pub mod progress;
pub mod report;

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, Subcommand};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use shared::App;
use shared::clock::{self, Day, FIRST_DAY};
use shared::http::csv_row;
use shared::passwords::{DjangoHash, Passwords};
use shared::store::{HashCounts, ImportOutcome};
use shared::values::{Account, ImportedHashes, Imports, turns_text};
use uuid::Uuid;

use self::dump::{BadRow, Choices, Dump, Flag, ModelChoices, Models, Row, Unused};
use self::pace::{Pace, Stop, USERS_AT_ONCE, Waits};
use self::plan::{
    ADDRESS_TAKEN, Differing, NAME_TAKEN, Password, Plan, PlannedChat, PlannedUser, Rules,
    SAME_TIME, WAS_IMPORTED,
};
use self::progress::Progress;
use self::report::{Report, unwritable};
use super::target::{Missing, Opened, Target};
use super::{counted, sentence};
use crate::terminal::{Failure, interruption};
use crate::{note, say};

/// The largest number of messages that a transaction stores. A throttled transaction is retried
/// with half as many messages, because a partition may never accept a large transaction.
const TOGETHER: usize = 64;

/// The time after which every function uses a new record of imports. Functions cache the record for
/// a minute.
const KNOWN_AFTER: Duration = Duration::from_secs(61);

/// The reason for refusing a message whose primary key belonged to a different message in an
/// earlier import.
const CHAT_TAKEN: &str = "a message with this primary key and another time was imported before; a --name has messages of one chat model";

/// The maximum length of an import's name, in characters.
const NAME_LENGTH: usize = 40;

/// How many renamed users the terminal shows.
const RENAMED: usize = 5;

/// Import the users, balances and messages of another system
#[derive(Subcommand)]
pub(super) enum Command {
    Django(Box<Django>),
    Users(Box<Users>),
}

/// Import from Django. Without --apply, say what would be imported, and write nothing
#[derive(Args)]
pub(super) struct Django {
    /// The file that `manage.py dumpdata` wrote, or the SQLite database
    file: PathBuf,
    /// A name for the import, if several systems are imported
    #[arg(long, value_name = "NAME", default_value = "django")]
    name: String,
    /// Make superusers administrators
    #[arg(long)]
    superusers: bool,
    #[command(flatten)]
    models: ModelChoices,
    #[command(flatten)]
    import: Import,
}

/// Import users from JSON lines. Without --apply, say what would be imported, and write nothing
#[derive(Args)]
pub(super) struct Users {
    /// The file with a JSON object for each user
    file: PathBuf,
    /// A name for the import, if several systems are imported
    #[arg(long, value_name = "NAME", default_value = "users")]
    name: String,
    #[command(flatten)]
    import: Import,
}

/// An import, as requested by the operator.
#[derive(Args, Clone, Debug, Default)]
pub struct Import {
    /// The dump.
    #[arg(skip)]
    pub file: PathBuf,
    /// The import's name, which distinguishes the data of several systems.
    #[arg(skip)]
    pub name: String,
    /// True if superusers become administrators.
    #[arg(skip)]
    pub superusers: bool,
    /// Write to the store. The import may be interrupted and run again
    #[arg(long)]
    pub apply: bool,
    /// The operator's decisions about questions that the file leaves open.
    #[command(flatten)]
    pub choices: Choices,
    /// Also import users whose password can't be checked here, if they have an e-mail address. They
    /// must set a new password by e-mail
    #[arg(long)]
    pub reset_passwords: bool,
    /// Hash passwords that the file has in clear text
    #[arg(long)]
    pub clear_text_passwords: bool,
    /// Replace characters that a username can't have
    #[arg(long)]
    pub rename: bool,
    /// Also deactivate the accounts of users who have lost access to the other system since an
    /// earlier import
    #[arg(long, requires = "apply")]
    pub update_inactive: bool,
    /// Write a line for each refused, renamed or differing row to this file, as JSON, or as CSV if
    /// its name ends with .csv
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Write the primary keys with the ids here to this file, as CSV
    #[arg(long, value_name = "FILE", requires = "apply")]
    pub map: Option<PathBuf>,
    /// Confirm that every running function supports imported password hashes. Only needed for
    /// tables on AWS
    #[arg(long)]
    pub yes: bool,
}

impl Command {
    pub(super) async fn run(self, target: &Target) -> Result<String, Failure> {
        match self {
            Self::Django(options) => {
                let Django { file, name, superusers, models, import } = *options;
                let choices = Choices { models, ..import.choices };
                django(target, Import { file, name, superusers, choices, ..import }).await
            }
            Self::Users(options) => {
                let Users { file, name, import } = *options;
                from_file(target, Import { file, name, ..import }, Dump::open_users).await
            }
        }
    }
}

/// Imports the users and messages of a Django system. Prints the reasons why rows aren't imported.
/// A dry run prints what would be imported.
///
/// # Errors
/// If rows are refused, all other rows are imported, and then the import fails with an error
/// message that contains the number of refused rows. All other failures are also error messages for
/// the terminal. An interrupted import says how far it came.
pub async fn django(target: &Target, import: Import) -> Result<String, Failure> {
    from_file(target, import, Dump::open).await
}

async fn from_file(
    target: &Target,
    import: Import,
    open: fn(&Path, &Choices) -> Result<Dump, String>,
) -> Result<String, Failure> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if import.name.is_empty()
        || import.name.len() > NAME_LENGTH
        || !import.name.chars().all(is_name)
    {
        return Err(Failure::Failed(format!(
            "--name must have 1 to {NAME_LENGTH} lower-case letters, digits and hyphens."
        )));
    }
    apart(&import)?;
    let dump = open(&import.file, &import.choices).map_err(|why| printable(&why))?;
    if let Some(warning) = dump.warning() {
        note!("{warning}");
    }
    let missing = if import.apply { Missing::Create } else { Missing::Imagine };
    target
        .acting(missing, async |Opened { app, is_deployed, is_shared, .. }| {
            if import.apply && *is_shared && !is_deployed {
                return Err("A server has this data folder open, and might run another release. Stop the server first.".into());
            }
            let (progress, interruption) = (Progress::default(), interruption()?);
            let alone = !is_shared;
            let work = into_store(app, &dump, &import, alone, Waits::default(), &progress);
            Ok(tokio::select! {
                done = work => done.map_err(Failure::Failed),
                signal = interruption => {
                    Err(Failure::Interrupted(signal, progress.of_interrupted(import.apply)))
                }
                never = progress.lines() => match never {},
            })
        })
        .await?
}

/// Refuses to overwrite files that the import needs: `--report` and `--map` must name neither the
/// dump nor the same file.
fn apart(import: &Import) -> Result<(), String> {
    let is_same = |one: &Path, other: &Path| {
        let resolved =
            |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        resolved(one) == resolved(other)
    };
    let outputs = [("--report", &import.report), ("--map", &import.map)];
    for (flag, path) in outputs {
        if path.as_ref().is_some_and(|path| is_same(path, &import.file)) {
            return Err(format!("{flag} would overwrite {}.", import.file.display()));
        }
    }
    match (&import.report, &import.map) {
        (Some(report), Some(map)) if is_same(report, map) => {
            Err("--report and --map need a file each.".into())
        }
        _ => Ok(()),
    }
}

/// Like [`django`], but imports into the store of `app`. `is_alone` says that no function uses the
/// store. `waits` says how long the import waits while DynamoDB throttles it. May be dropped at any
/// time: another run goes on from there.
///
/// # Errors
/// Fails like [`django`].
pub async fn into_store(
    app: &App,
    dump: &Dump,
    import: &Import,
    is_alone: bool,
    waits: Waits,
    progress: &Progress,
) -> Result<String, String> {
    let &Import { superusers, reset_passwords, clear_text_passwords, rename, .. } = import;
    // If functions have run on these tables, they have published a public key.
    let is_served = !is_alone && !app.store.public_keys().await.map_err(sentence)?.is_empty();
    if import.apply && is_served && !import.yes {
        return Err(
            "A release without imported password hashes refuses the log-ins of imported users. Add \
             --yes when no alias is split between two releases, and all functions run this release."
                .into(),
        );
    }
    let now = app.clock.millis();
    let name = import.name.as_str();
    let rules = Rules { name, superusers, reset_passwords, clear_text_passwords, rename, now };
    let mut plan = Plan::make(app, dump, rules).await?;
    let (unused, flags) = dump.unused();
    let mut report = Report {
        refused: std::mem::take(&mut plan.refused),
        renamed: plan.renamed(),
        differences: std::mem::take(&mut plan.differences),
        users: dump.models().users,
        names: if import.report.is_some() { dump.names() } else { HashMap::new() },
    };
    if import.apply && !flags.is_empty() {
        return Err(question(&flags));
    }
    // Create the file now, so that a file that can't be written stops the import before it begins.
    let file = import.report.as_deref().map(report::create).transpose()?;
    let done = match import.apply {
        false => {
            let described = describe(dump, &plan, &report, &unused, rules);
            let then = if !flags.is_empty() {
                "--apply imports nothing before you decide who may log in"
            } else if report.refused.is_empty() {
                "--apply imports this"
            } else {
                "--apply imports this, without the refused rows"
            };
            format!("{described}\nNothing was written. {then}.")
        }
        true => {
            if record(app, &plan).await? && is_served {
                note!("Waiting for a minute, until every function knows of the import.");
                tokio::time::sleep(KNOWN_AFTER).await;
            }
            let map = import.map.as_deref().map(IdMap::create).transpose()?;
            let ended = match import.update_inactive {
                true => end_inactive(app, &plan, &mut report).await?,
                false => 0,
            };
            let mut done = apply(app, dump, plan, rules, waits, progress, map.as_ref()).await?;
            map.map(IdMap::finish).transpose()?;
            report.refused.append(&mut done.refused);
            let ended = match ended {
                0 => String::new(),
                ended => format!("; {} ended", counted(ended, "account")),
            };
            format!("{done}{ended}{}", differences(&report))
        }
    };
    if let (Some(file), Some(path)) = (file, &import.report) {
        report.write(file, path)?;
    }
    let refused = match report.refused.len() {
        0 => None,
        rows => {
            say!("{}", report.text());
            let rows = counted(rows, "row");
            Some(match &import.report {
                Some(path) => format!("{rows} can't be imported. {} has them.", path.display()),
                None => format!("{rows} can't be imported. --report FILE lists them."),
            })
        }
    };
    let asked = (!flags.is_empty()).then(|| question(&flags));
    let failures: Vec<String> = refused.into_iter().chain(asked).collect();
    if failures.is_empty() {
        return Ok(done);
    }
    say!("{done}");
    Err(failures.join(" "))
}

/// Asks whether users with these flags may log in.
fn question(flags: &[Flag]) -> String {
    let each = flags.iter().map(|Flag { condition, field, users }| {
        format!(
            "{} could log in although `{field}` may forbid it (--inactive-if {condition}, or --ignore {field})",
            counted(*users, "user")
        )
    });
    printable(&format!("Decide who may log in: {}.", each.collect::<Vec<_>>().join("; ")))
}

/// Describes the differences from an earlier import. This import doesn't apply them. Empty if there
/// are no differences.
fn differences(report: &Report) -> String {
    let mut text = String::new();
    let (mut balances, mut sum, mut inactive, mut passwords) = (0_u64, 0_i128, 0_u64, 0_u64);
    for difference in &report.differences {
        match difference.what {
            Differing::Balance { then, now } => {
                balances += 1;
                sum += i128::from(now) - i128::from(then);
            }
            Differing::Inactive => inactive += 1,
            Differing::Ended => {}
            Differing::Password => passwords += 1,
        }
    }
    // Writing to a string never fails.
    if balances > 0 {
        let differ = if balances == 1 { "differs" } else { "differ" };
        let count = counted(balances, "balance");
        let _ = write!(
            text,
            "\n{count} {differ} from what was imported ({sum:+} tokens); balances are imported once"
        );
    }
    if inactive > 0 {
        let _ = write!(
            text,
            "\n{} can log in here, but no longer to the other system; --update-inactive ends their \
             accounts, except those of administrators and those that an administrator has \
             activated",
            counted(inactive, "user")
        );
    }
    if passwords > 0 {
        let _ = write!(
            text,
            "\n{} changed since the import; the imported one still works here",
            counted(passwords, "password")
        );
    }
    text
}

/// Deactivates the accounts of users who can no longer log in to the other system. Skips
/// administrators' accounts, and accounts that an administrator has activated. Returns the number
/// of deactivated accounts.
async fn end_inactive(app: &App, plan: &Plan, report: &mut Report) -> Result<u64, String> {
    let known = plan.users.iter().filter(|user| user.is_known);
    let known: HashMap<&str, &Account> =
        known.map(|user| (user.account.name.as_str(), &user.account)).collect();
    let mut ended = 0;
    for difference in &mut report.differences {
        let Some(account) = known.get(difference.name.as_str()) else { continue };
        if difference.what != Differing::Inactive {
            continue;
        }
        if app.store.end_imported(account, &app.clock).await.map_err(sentence)? {
            difference.what = Differing::Ended;
            ended += 1;
        }
    }
    Ok(ended)
}

/// The `--map` file: a CSV line for each imported user and message.
struct IdMap<'a> {
    file: Mutex<BufWriter<File>>,
    path: &'a Path,
}

impl<'a> IdMap<'a> {
    fn create(path: &'a Path) -> Result<Self, String> {
        let mut file = BufWriter::new(report::create(path)?);
        writeln!(file, "model,pk,id").map_err(|error| unwritable(path, &error))?;
        Ok(Self { file: Mutex::new(file), path })
    }

    /// Adds a row with its id here. A write error is reported when the file is finished.
    fn note(&self, row: &Row, id: &str) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let line = csv_row(&[(&row.model).into(), (&row.pk).into(), id.into()]);
        let _ = writeln!(file, "{line}");
    }

    fn finish(self) -> Result<(), String> {
        let file = self.file.into_inner().unwrap_or_else(PoisonError::into_inner);
        let written = file.into_inner().map_err(IntoInnerError::into_error);
        written.map(drop).map_err(|error| unwritable(self.path, &error))
    }
}

/// Escapes a line for the terminal. Names and keys come from strangers, who must not be able to
/// control the operator's terminal or forge lines.
fn printable(line: &str) -> String {
    let is_plain = |c: char| !c.is_control() && !turns_text(c);
    let shown = |c: char| match is_plain(c) {
        true => c.to_string(),
        false => c.escape_unicode().to_string(),
    };
    line.chars().map(shown).collect()
}

/// Describes what would be imported.
fn describe(
    dump: &Dump,
    plan: &Plan,
    report: &Report,
    unused: &[Unused],
    rules: Rules<'_>,
) -> String {
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
        None => "no messages".to_owned(),
    };
    // Writing to a string never fails.
    let _ = write!(text, "\n{chats}");
    if let Some(first) = plan.first_day() {
        let _ = write!(text, "\noldest data: {first}");
    }
    for (kind, (_, count)) in plan.new_hashes() {
        let _ = write!(text, "\n{} of the kind {kind}", counted(count, "password"));
    }
    let clear = plan.new_users().filter(|user| matches!(user.password, Password::Clear(_))).count();
    if clear > 0 {
        let _ = write!(text, "\n{} in clear text, to be hashed", counted(clear, "password"));
    }
    let out = plan.new_users().filter(|user| !user.account.active).count();
    if out > 0 {
        let _ = write!(text, "\n{} can't log in here", counted(out, "user"));
    }
    let reset = plan.new_users().filter(|user| user.password == Password::Reset).count();
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
    if !report.renamed.is_empty() {
        let named = report.renamed.iter().take(RENAMED);
        let named: Vec<String> =
            named.map(|(_, was, is)| format!("{was:?} becomes {is}")).collect();
        let count = counted(report.renamed.len(), "username");
        let _ = write!(text, "\n{count} changed: {}", printable(&named.join(", ")));
    }
    text.push_str(&differences(report));
    for line in advice(dump, report, &users, rules) {
        let _ = write!(text, "\n{line}");
    }
    let fields: Vec<String> = unused.iter().map(with_values).collect();
    if !fields.is_empty() {
        let _ =
            write!(text, "\nnot used of {}: {}", printable(&users), printable(&fields.join("; ")));
    }
    let models = dump.unused_models().into_iter();
    let models: Vec<String> = models.map(|(name, rows)| format!("{name} ({rows})")).collect();
    if !models.is_empty() {
        let _ = write!(text, "\nnot imported: {}", printable(&models.join(", ")));
    }
    text
}

/// Returns a line for each option that would allow more of the refused users to be imported.
fn advice(dump: &Dump, report: &Report, users: &str, rules: Rules<'_>) -> Vec<String> {
    let of_users = report.refused.iter().filter(|bad| bad.row.model == users);
    let count = |is: fn(&str) -> bool| of_users.clone().filter(|bad| is(&bad.reason)).count();
    let mut lines = Vec::new();
    let mut advise = |number: usize, what: &str, advice: &str| {
        if number > 0 {
            let have = if number == 1 { "has" } else { "have" };
            lines.push(format!("{} {have} {advice}", counted(number, what)));
        }
    };
    let has_characters = |reason: &str| {
        reason.starts_with("a name can only") || reason.starts_with("a name with an @")
    };
    if !rules.rename {
        let advice = "characters that aren't allowed; --rename replaces them";
        advise(count(has_characters), "username", advice);
    }
    let is_nameless =
        |reason: &str| reason.starts_with("`username` is") || reason.starts_with("a name can only");
    let nameless = count(is_nameless);
    if nameless > 0 && dump.may_log_in_by_address() {
        let advice = "no username that can be used; if people log in with their address, add --login-field email";
        advise(nameless, "user", advice);
    }
    let is_clear = |reason: &str| reason == "the password is in clear text";
    let advice = "a password in clear text; --clear-text-passwords hashes it";
    advise(count(is_clear), "user", advice);
    if !rules.reset_passwords {
        let has_no_password = |reason: &str| {
            reason.starts_with("the password's hash")
                || reason == "the account has no usable password"
        };
        let advice = "no password that can be checked here; --reset-passwords imports those with an e-mail address";
        advise(count(has_no_password), "user", advice);
    }
    let has_fraction = |reason: &str| reason.ends_with("isn't a whole number");
    let advice = "a balance with a fraction; --scale 100 multiplies all balances by 100";
    advise(count(has_fraction), "user", advice);
    lines
}

/// Formats a field's name and most common values, such as `is_staff (false: 57, true: 3)`.
fn with_values(unused: &Unused) -> String {
    let Unused { field, values, different } = unused;
    let mut shown: Vec<String> =
        values.iter().map(|(value, users)| format!("{value}: {users}")).collect();
    if shown.is_empty() {
        return format!("{field} ({})", counted(*different, "value"));
    }
    if *different > values.len() {
        shown.push(counted(different - values.len(), "other value"));
    }
    format!("{field} ({})", shown.join(", "))
}

/// Records the hashes and the first day before anything is imported. Returns false if the record
/// already contains them.
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

/// Returns the record as it will be after this plan has been imported.
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
    // Count accounts that another import has recorded, but not created yet.
    for known in known {
        let left = kinds.entry(known.kind.clone()).or_default();
        *left = known.left.max(*left);
    }
    let mut hashes = Vec::new();
    for (kind, left) in kinds {
        let decoy = match (known.iter().find(|known| known.kind == kind), added.get(&kind)) {
            (Some(known), _) => known.decoy.clone(),
            (None, Some((hash, _))) => hash.decoy().map_err(sentence)?,
            // A decoy can be made only from a hash of this kind, and neither the record nor this
            // import contains one.
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

/// How many accounts, messages and refused rows an import has processed so far.
#[derive(Default)]
struct Done {
    accounts: u64,
    tokens: u128,
    chats: u64,
    accounts_before: u64,
    chats_before: u64,
    /// The rows that the store refused, although the plan had accepted them.
    refused: Vec<BadRow>,
}

impl Done {
    fn add(&mut self, other: Self) {
        self.accounts += other.accounts;
        self.tokens += other.tokens;
        self.chats += other.chats;
        self.accounts_before += other.accounts_before;
        self.chats_before += other.chats_before;
        self.refused.extend(other.refused);
    }

    fn refuse(&mut self, row: &Row, reason: &str) {
        self.refused.push(BadRow { row: row.clone(), reason: reason.to_owned() });
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
    progress: &Progress,
    map: Option<&IdMap<'_>>,
) -> Result<Done, String> {
    let first = plan.first_day();
    progress.begin(plan.users.len(), plan.chats);
    let pace = Pace::new(waits, progress.clone());
    let passwords = Passwords::new();
    let users = plan.users.into_iter().map(|user| {
        let (chats, pace, passwords) = (user.chats(dump, rules), &pace, &passwords);
        async move {
            let mut user = user;
            if let (Password::Clear(password), false) = (&user.password, user.is_known) {
                let hash = passwords.hash_again(password).await;
                user.account.password =
                    hash.map_err(|error| printable(&format!("{}: {}", user.row, error.detail())))?;
            }
            let imported = import_user(app, pace, &user, chats, progress, map).await;
            imported.map_err(|stop| match stop {
                Stop::Failed(error) => printable(&format!("{}: {}", user.row, sentence(error))),
                Stop::Standstill(why) => why,
            })
        }
    });
    let mut done = Done::default();
    let mut imported = iter(users).buffer_unordered(USERS_AT_ONCE);
    while let Some(user) = imported.try_next().await? {
        done.add(user);
        progress.add_user();
    }
    // Do this even without new chats, because an earlier run may have been killed before this step.
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
    progress: &Progress,
    map: Option<&IdMap<'_>>,
) -> Result<Done, Stop> {
    let mut done = Done::default();
    let account = &user.account;
    let import = async |_: u32| {
        let source = user.source.clone();
        app.store.import_account(account, user.email.as_ref(), source).await
    };
    let outcome = pace.keep(import).await?;
    if let (ImportOutcome::New | ImportOutcome::Known, Some(map)) = (&outcome, map) {
        map.note(&user.row, &account.id);
    }
    let refusal = match outcome {
        ImportOutcome::New => {
            done.accounts = 1;
            done.tokens = account.granted.get().into();
            None
        }
        ImportOutcome::Known => {
            done.accounts_before = 1;
            done.add(forget_stored(app, pace, user, &mut chats, progress, map).await?);
            None
        }
        ImportOutcome::Deleted => Some(WAS_IMPORTED),
        ImportOutcome::NameTaken => Some(NAME_TAKEN),
        ImportOutcome::AddressTaken => Some(ADDRESS_TAKEN),
    };
    if let Some(reason) = refusal {
        done.refuse(&user.row, reason);
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
                for PlannedChat { row, chat } in chats.drain(..count) {
                    if let Some(map) = map {
                        map.note(&row, &chat.chat_id);
                    }
                }
                let count = u64::try_from(count).unwrap_or(u64::MAX);
                done.chats += count;
                progress.add_messages(count);
            }
            None => done.add(forget_stored(app, pace, user, &mut chats, progress, map).await?),
        }
        most = (2 * most).min(TOGETHER);
        if chats.len() == left {
            done.refuse(&user.row, "the account was deleted meanwhile");
            break;
        }
    }
    Ok(done)
}

/// Removes the chats that are already stored, or were stored and deleted. Compares only the hashes
/// in the ids, because the rest of an id depends on the other messages in the same millisecond.
/// Refuses a message whose time has changed: it may be a different message, from a different model.
async fn forget_stored(
    app: &App,
    pace: &Pace,
    user: &PlannedUser,
    chats: &mut Vec<PlannedChat>,
    progress: &Progress,
    map: Option<&IdMap<'_>>,
) -> Result<Done, Stop> {
    let read = async |_: u32| app.store.row_ids(&user.account.id).await;
    let rows = pace.keep(read).await?;
    let rows = rows.iter().map(String::as_str);
    let stored: HashMap<u64, (u64, &str)> = rows
        .filter_map(|id| Some((clock::foreign_hash(id)?, (clock::millis_of(id)?, id))))
        .collect();
    let mut done = Done::default();
    chats.retain(|PlannedChat { row, chat }| {
        let hash = clock::foreign_hash(&chat.chat_id);
        let Some((time, id)) = hash.and_then(|hash| stored.get(&hash)) else { return true };
        match time.abs_diff(chat.time) < SAME_TIME {
            true => {
                done.chats_before += 1;
                if let Some(map) = map {
                    map.note(row, id);
                }
            }
            false => done.refuse(row, CHAT_TAKEN),
        }
        progress.add_messages(1);
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
