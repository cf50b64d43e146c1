//! `farebox manage`: the commands for administrators. Each command opens the store that its
//! [`Target`] names, and returns its result as a message for the terminal, or fails with an error
//! message.

mod accounts;
mod audit;
mod brand;
mod credentials;
pub mod import;
mod keys;
mod prices;
mod restore;
mod stack;
mod target;
mod till;
pub mod vouchers;

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use shared::clock;
use shared::store::ErasureReport;
use shared::values::{Account, login_key};
use shared::{App, Error};

use crate::terminal::{Failure, print_result};

use accounts::{Adjust, CreateAdmin, Unlock};
use audit::Audit;
use keys::{Keys, WithdrawKey};
use restore::{Reapply, Reconcile};
use target::Opened;
pub use target::Target;

/// Manage the store in the data folder, the store of a deployed stack, or the store that the
/// environment names
#[derive(Args)]
#[command(arg_required_else_help = false)]
pub struct Manage {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: Command,
}

// The help and the options of most commands are next to the commands' code.
#[derive(Subcommand)]
enum Command {
    CreateAdmin(CreateAdmin),
    /// Return the tokens held for messages whose function died
    Settle,
    /// Erase the data of deleted accounts
    Erase,
    /// Count the accounts, and sort them for the administrators' list
    Census,
    Adjust(Adjust),
    Keys(Keys),
    /// Replace the signing key. Within five minutes, all new tokens are signed with the new key
    RotateKey,
    WithdrawKey(WithdrawKey),
    Unlock(Unlock),
    Reapply(Reapply),
    Reconcile(Reconcile),
    #[command(subcommand, arg_required_else_help = false)]
    Models(prices::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Brand(brand::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Vouchers(vouchers::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Till(till::Command),
    #[command(subcommand, arg_required_else_help = false)]
    Import(import::Command),
    Audit(Audit),
}

impl Manage {
    /// Runs the command, and prints its result.
    ///
    /// # Errors
    /// Fails with an error message for the terminal.
    pub async fn run(self) -> Result<(), Failure> {
        Ok(print_result(&self.command.run(&self.target).await?)?)
    }
}

impl Command {
    async fn run(self, target: &Target) -> Result<String, Failure> {
        let done = match self {
            Self::CreateAdmin(command) => command.run(target).await,
            Self::Settle => target.in_store(settle).await,
            Self::Erase => target.in_store(erase).await,
            Self::Census => target.in_store(census).await,
            Self::Adjust(command) => command.run(target).await,
            Self::Keys(command) => command.run(target).await,
            Self::RotateKey => target.in_store(keys::rotate).await,
            Self::WithdrawKey(command) => command.run(target).await,
            Self::Unlock(command) => command.run(target).await,
            Self::Reapply(command) => command.run(target).await,
            Self::Reconcile(command) => command.run(target).await,
            Self::Models(command) => command.run(target).await,
            Self::Brand(command) => command.run(target).await,
            Self::Vouchers(command) => command.run(target).await,
            Self::Till(command) => command.run(target).await,
            Self::Import(command) => return command.run(target).await,
            Self::Audit(command) => command.run(target).await,
        };
        Ok(done?)
    }
}

/// Releases every hold whose lease has ended, as the scheduled function does.
async fn settle(Opened { app, .. }: &Opened) -> Result<String, String> {
    let swept = app.store.sweep(app.clock.seconds()).await.map_err(sentence)?;
    app.store.sweep_files(app.clock.seconds()).await.map_err(sentence)?;
    Ok(format!("{} holds of {} accounts were released.", swept.released, swept.accounts))
}

/// The maximum duration of work that an operator starts.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// Erases the data of deleted accounts, as the scheduled function does, until all of it is erased.
async fn erase(Opened { app, .. }: &Opened) -> Result<String, String> {
    let erased = app.store.erase(app.clock.seconds(), A_DAY).await.map_err(sentence)?;
    let ErasureReport { accounts, items, gone } = erased;
    let [items, accounts, gone] = [(items, "item"), (accounts, "deleted account"), (gone, "name")]
        .map(|(number, what)| counted(number, what));
    Ok(format!("{items} of {accounts} erased, {gone} free again"))
}

/// Counts the accounts and sorts them, and computes what messages usually use, as the scheduled
/// function does.
async fn census(Opened { app, .. }: &Opened) -> Result<String, String> {
    let imports = app.imports.current().await.map_err(sentence)?;
    let census = app.store.take_census(app.clock.millis(), imports.as_deref()).await;
    let census = census.map_err(sentence)?;
    let period = app.data_period().await.map_err(sentence)?;
    let until = Instant::now() + A_DAY;
    app.store.note_usual_usage(period, until).await.map_err(sentence)?;
    Ok(format!("{} with {} tokens", counted(census.users, "account"), census.tokens))
}

/// Returns a progress bar, which is shown only on a terminal.
pub(crate) fn progress(what: &str) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::no_length()
    } else {
        ProgressBar::hidden()
    };
    let template = format!("{{spinner}} {{human_pos}} {what}, {{per_sec}}, {{elapsed}}");
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Formats rows as JSON, one per line.
fn json_lines(rows: impl IntoIterator<Item = impl Serialize>) -> Result<String, String> {
    let lines: Result<Vec<String>, _> =
        rows.into_iter().map(|row| serde_json::to_string(&row)).collect();
    Ok(lines.map_err(|error| format!("A row can't be shown: {error}."))?.join("\n"))
}

/// Formats a count with its noun: `1 row`, `2 rows`.
pub(crate) fn counted<N: Display + From<u8> + PartialEq>(number: N, what: &str) -> String {
    format!("{number} {what}{}", if number == N::from(1) { "" } else { "s" })
}

/// Finds the account with this id, username or verified e-mail address. If an address isn't
/// verified, or if two accounts match, the error message asks for the id.
async fn find(app: &App, name: &str) -> Result<Account, String> {
    if clock::millis_of(name).is_some() {
        let found = app.store.account_with_id(name).await.map_err(sentence)?;
        return found.ok_or_else(|| format!("No account has the id {name:?}."));
    }
    let key = login_key(name).ok_or_else(|| no_account(name))?;
    let mut meant = app.store.accounts_matching(&key).await.map_err(sentence)?;
    match (meant.pop(), meant.pop()) {
        (None, _) => Err(no_account(name)),
        (Some(account), None) if !key.contains('@') || account.has_proven(&key) => Ok(account),
        (Some(account), None) => Err(format!(
            "The account {} has not verified the address {name:?}. If you mean this account, give its id.",
            account.id
        )),
        (Some(one), Some(other)) => Err(format!(
            "The accounts {} and {} both log in as {name:?}. Give the id of the one that you mean.",
            other.id, one.id
        )),
    }
}

fn no_account(name: &str) -> String {
    format!("No account has the name {name:?}.")
}

/// Advice for the operator, by AWS error code. The code is searched for in the text of a store
/// failure's cause, because the failure doesn't contain it anywhere else.
const ADVICE: [(&[&str], &str); 6] = [
    (
        &["ExpiredToken", "RequestExpired"],
        "The AWS credentials have expired: log in again, for example with `aws sso login`.",
    ),
    (
        &["UnrecognizedClient", "InvalidSignature", "InvalidClientTokenId"],
        "AWS doesn't accept these credentials: check AWS_PROFILE or the access key.",
    ),
    (
        &["AccessDenied", "NotAuthorized"],
        "The credentials don't allow this: deploy/operator-policy.json lists what the commands need.",
    ),
    (
        &["ResourceNotFound"],
        "A table doesn't exist: check the store that is printed above, and its region.",
    ),
    (
        &["Throttling", "ThroughputExceeded", "RequestLimitExceeded"],
        "DynamoDB refuses some requests, because there are too many: run the command again later.",
    ),
    (
        &["no connection"],
        "DynamoDB can't be reached: check the network, the region and the endpoint.",
    ),
];

/// Returns a failure's message for the terminal. If the failure has a cause, the message contains
/// advice for the operator and the cause, which API clients don't see.
pub(crate) fn sentence(error: impl Into<Error>) -> String {
    let error = error.into();
    let Some(cause) = error.cause() else { return error.detail() };
    if matches!(error, Error::PaymentsUnavailable(_)) {
        return sentence_about_stripe(cause);
    }
    let advice = ADVICE.iter().find(|(codes, _)| contains_any(cause, codes));
    let advice = match (advice, &error) {
        (Some((_, advice)), _) => *advice,
        (None, Error::Unavailable(_)) => {
            "DynamoDB didn't answer in time. A write may have been applied, so look before you run the command again."
        }
        (None, _) => "The store can't do this.",
    };
    format!("{advice} ({cause})")
}

fn sentence_about_stripe(cause: &str) -> String {
    if contains_any(cause, &["status 401", "status 403"]) {
        format!("Stripe refuses the API key ({cause}). Check the secret of STRIPE_API_KEY.")
    } else if cause.contains("STRIPE_MODE") {
        format!(
            "The API key and the mode don't belong together ({cause}). Export the other key, or STRIPE_MODE."
        )
    } else {
        format!("Stripe doesn't answer as it should ({cause}). Run the command again later.")
    }
}

fn contains_any(cause: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| cause.contains(part))
}
