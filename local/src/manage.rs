//! The commands of administrators. Each command opens the store that its [`Target`] names, and
//! returns a sentence for the terminal, or fails with such a sentence.

mod credentials;
pub mod import;
pub mod prices;
pub mod restore;
mod stack;
mod target;
pub mod till;
pub mod vouchers;

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use indicatif::{ProgressBar, ProgressStyle};
use shared::clock;
use shared::config::Secret;
use shared::keys::Signer;
use shared::passwords::NewPassword;
use shared::store::{
    AdjustOutcome, Adjustment, Census, ErasureReport, FreeWork, NewAccount, PublicKey,
    RegisterOutcome, StoreError,
};
use shared::telemetry::metrics::{self, Metric};
use shared::values::{Account, Email, Reason, Role, Username, login_key};
use shared::{App, BalanceChange, Credits, Error, secrets};

use crate::say;
use emulator::dynamo;

use target::Missing;
pub use target::{Opened, Target};

/// Creates an administrator. A username with an `@` is also the account's e-mail address. The
/// password is asked for once everything else is known to be valid, and the store is open.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn create_admin(
    target: &Target,
    name: &str,
    email: Option<&str>,
    tokens: u64,
    password: impl FnOnce() -> Result<String, String>,
) -> Result<String, String> {
    let name = Username::choose(name)
        .map_err(|sentence| format!("{name:?} can't be a username: {sentence}"))?;
    let email = email
        .map(|text| Email::choose(text).map_err(|sentence| format!("--email {text:?}: {sentence}")))
        .transpose()?;
    let email = match (email, name.address()) {
        (Some(email), Some(named)) if email.key() != named.key() => {
            return Err("A username with an @ is the account's e-mail address: give the same address as --email, or leave it out.".into());
        }
        (email, named) => email.or(named),
    };
    let grant = Credits::new(tokens)
        .ok_or_else(|| format!("--tokens must be at most {}.", Credits::MAX))?;
    let (account, registered) = in_new_store(target, async |Opened { app, .. }| {
        let known = [name.shown(), email.as_ref().map_or(name.shown(), Email::shown)];
        let password = NewPassword::parse(&password()?, &known)?;
        let password = app.passwords.hash(&password).await.map_err(|error| error.detail())?;
        let new = NewAccount {
            name,
            email,
            password,
            key: None,
            role: Role::Admin,
            grant,
            reason: "administrator created",
        };
        let account = new.open(&app.clock);
        let registered = app.store.register(&new, &account, None, None).await;
        Ok((account, registered))
    })
    .await?;
    match registered {
        Ok(RegisterOutcome::New | RegisterOutcome::Pending(_)) => {
            Ok(format!("{} is an administrator with {grant} tokens.", account.name))
        }
        Ok(RegisterOutcome::Taken(_)) | Err(StoreError::Refused(Error::UsernameTaken)) => {
            Err(format!("Another account has the name {}.", account.name))
        }
        Err(StoreError::Refused(Error::EmailTaken)) => {
            Err(format!("Another account has the address {}.", account.email.unwrap_or_default()))
        }
        Err(error) => Err(sentence(error)),
    }
}

/// Grants an account credits, or takes some if `amount` is negative.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn adjust(
    target: &Target,
    name: &str,
    amount: i64,
    reason: &str,
) -> Result<String, String> {
    let reason = Reason::parse(reason)?;
    let change = BalanceChange::new(amount).ok_or_else(|| {
        format!("AMOUNT must be a whole number from -{0} to {0} other than 0.", Credits::MAX)
    })?;
    in_store(target, async |Opened { app, .. }| adjust_in(app, name, change, reason).await).await
}

async fn adjust_in(
    app: &App,
    name: &str,
    change: BalanceChange,
    reason: Reason,
) -> Result<String, String> {
    let account = find(app, name).await?;
    let adjustment = Adjustment::new(&account, change, reason, "manage", &app.clock);
    match app.store.adjust(&adjustment, app.clock.seconds()).await.map_err(sentence)? {
        AdjustOutcome::Applied => {
            let account =
                app.store.account_named(&account.label).await.map_err(sentence)?.unwrap_or(account);
            Ok(format!("{} has {} tokens now.", account.name, account.balance(app.clock.seconds())))
        }
        AdjustOutcome::TooLittle(balance) => {
            Err(format!("{} has only {balance} tokens. Nothing was changed.", account.name))
        }
        AdjustOutcome::TooMuch => Err(format!(
            "{} can't be granted more than {} tokens in all. Nothing was changed.",
            account.name,
            Credits::MAX
        )),
        // The other outcomes need an idempotency key, a source or a voucher.
        AdjustOutcome::Gone
        | AdjustOutcome::KeyUsed
        | AdjustOutcome::SourceUsed
        | AdjustOutcome::VoucherUsed
        | AdjustOutcome::VoucherEnded => Err(no_account(name)),
    }
}

/// Lets a user log in and send messages again after too many failures.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn unlock(target: &Target, name: &str) -> Result<String, String> {
    in_store(target, async |Opened { app, .. }| {
        let now = app.clock.seconds();
        let account = find(app, name).await?;
        tokio::try_join!(
            app.store.forget_attempts(&account.label, account.email.as_deref()),
            app.store.forget_confirmations(&account, now),
            app.store.forget_free_work(&account, now)
        )
        .map_err(sentence)?;
        let [own, by_keys] = [false, true].map(|is_limited| {
            let work = FreeWork::at(now, is_limited);
            let [used, most] = work.shown(&account, app.config.free_work);
            format!("{used} of {most} tokens")
        });
        Ok(format!(
            "{} can log in and send messages again. Today's failed messages were worth {own}; those by API keys with a limit, {by_keys}.",
            account.name
        ))
    })
    .await
}

/// The maximum time of an erasure that is started by hand.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// The number of accounts that are audited at a time.
const AT_A_TIME: usize = 8;

/// Recomputes one account or every account from the ledger. Prints a line per difference, and
/// returns the numbers of accounts and rows. An audit of all accounts also writes the number of
/// differences as a metric.
///
/// # Errors
/// If there is a difference, fails with the numbers of accounts, rows and differences. Every other
/// failure is a sentence for the terminal.
pub async fn audit(target: &Target, name: Option<&str>) -> Result<String, String> {
    let mut report = Report::new();
    let audited = in_store(target, async |Opened { app, .. }| match name {
        Some(name) => report.add(app, vec![find(app, name).await?.label]).await,
        None => audit_all(app, &mut report).await,
    })
    .await;
    report.bar.finish_and_clear();
    audited?;
    if name.is_none() {
        metrics::record(&[(Metric::AuditDifferences, report.differences)]);
    }
    let counted =
        format!("{}, {}", counted(report.accounts, "account"), counted(report.rows, "row"));
    match report.differences {
        0 => Ok(format!("{counted}, no difference")),
        differences => Err(format!("{counted}, {}", self::counted(differences, "difference"))),
    }
}

async fn audit_all(app: &App, report: &mut Report) -> Result<(), String> {
    let mut after = None;
    loop {
        let (names, next) = app.store.account_keys(after.as_deref()).await.map_err(sentence)?;
        report.add(app, names).await?;
        if next.is_none() {
            break;
        }
        after = next;
    }
    let mut after = None;
    loop {
        let (differences, next) =
            app.store.audit_sources(after.as_deref()).await.map_err(sentence)?;
        for difference in differences {
            report.differ(&difference.to_string());
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}

/// The numbers of an audit so far.
struct Report {
    accounts: u64,
    rows: u64,
    differences: u64,
    bar: ProgressBar,
}

impl Report {
    fn new() -> Self {
        Self { accounts: 0, rows: 0, differences: 0, bar: progress("accounts") }
    }

    /// Audits these accounts. The lines of accounts that take longer come later.
    async fn add(&mut self, app: &App, names: Vec<String>) -> Result<(), String> {
        let audit = |name: String| async move {
            let audited = app.store.audit(&name).await;
            (name, audited)
        };
        let mut audits = iter(names).map(audit).buffer_unordered(AT_A_TIME);
        while let Some((name, audited)) = audits.next().await {
            let audited = audited.map_err(sentence)?;
            self.accounts += 1;
            self.rows += audited.rows;
            for difference in audited.differences {
                self.differ(&format!("{name}: {difference}"));
            }
            self.bar.inc(1);
        }
        Ok(())
    }

    /// Counts a difference, and prints its line.
    fn differ(&mut self, line: &str) {
        self.differences += 1;
        self.bar.suspend(|| say!("{line}"));
    }
}

/// Returns a progress bar, which only a terminal shows.
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

/// Formats a count with its noun: `1 row`, `2 rows`.
pub(crate) fn counted<N: Display + From<u8> + PartialEq>(number: N, what: &str) -> String {
    format!("{number} {what}{}", if number == N::from(1) { "" } else { "s" })
}

/// Finds the account with this id, username or verified e-mail address. If an address isn't
/// verified, or two accounts match, the failure asks for the id.
async fn find(app: &App, name: &str) -> Result<Account, String> {
    if clock::millis_of(name).is_some() {
        let found =
            async { app.store.account_of_user(&app.store.user_with_id(Some(name)).await?).await };
        return found.await.map_err(|error| match error {
            StoreError::Refused(Error::NoSuchUser) => format!("No account has the id {name:?}."),
            error => sentence(error),
        });
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

/// Returns a failure's sentence for the terminal. If the failure has a cause, which clients of the
/// API don't get, the sentence says what an operator can do.
pub(crate) fn sentence(error: impl Into<Error>) -> String {
    let error = error.into();
    let Some(cause) = error.cause() else { return error.detail() };
    let is = |codes: &[&str]| codes.iter().any(|code| cause.contains(code));
    if matches!(error, Error::PaymentsUnavailable(_)) {
        return if is(&["status 401", "status 403"]) {
            format!("Stripe refuses the API key ({cause}). Check the secret of STRIPE_API_KEY.")
        } else if is(&["STRIPE_MODE"]) {
            format!(
                "The API key and the mode don't belong together ({cause}). Export the other key, or STRIPE_MODE."
            )
        } else {
            format!("Stripe doesn't answer as it should ({cause}). Run the command again later.")
        };
    }
    let advice = if is(&["ExpiredToken", "RequestExpired"]) {
        "The AWS credentials have expired: log in again, for example with `aws sso login`."
    } else if is(&["UnrecognizedClient", "InvalidSignature", "InvalidClientTokenId"]) {
        "AWS doesn't accept these credentials: check AWS_PROFILE or the access key."
    } else if is(&["AccessDenied", "NotAuthorized"]) {
        "The credentials don't allow this: deploy/operator-policy.json lists what the commands need."
    } else if is(&["ResourceNotFound"]) {
        "A table doesn't exist: check the store that is printed above, and its region."
    } else if is(&["Throttling", "ThroughputExceeded", "RequestLimitExceeded"]) {
        "DynamoDB refuses some requests, because there are too many: run the command again later."
    } else if is(&["no connection"]) {
        "DynamoDB can't be reached: check the network, the region and the endpoint."
    } else if matches!(error, Error::Unavailable(_)) {
        "DynamoDB didn't answer in time. A write may have been applied, so look before you run the command again."
    } else {
        "The store can't do this."
    };
    format!("{advice} ({cause})")
}

/// Releases every hold whose lease has ended, as the scheduled function does.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn settle(target: &Target) -> Result<String, String> {
    let swept = in_store(target, async |Opened { app, .. }| {
        app.store.sweep(app.clock.seconds()).await.map_err(sentence)
    })
    .await?;
    Ok(format!("{} holds of {} accounts were released.", swept.released, swept.accounts))
}

/// Lists the public keys, one per line, oldest first.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn keys(target: &Target) -> Result<String, String> {
    let (mut published, now) = in_store(target, async |Opened { app, .. }| {
        Ok((app.store.public_keys().await.map_err(sentence)?, app.clock.seconds()))
    })
    .await?;
    published.sort_by_key(|key| key.from);
    let time = |seconds: u64| clock::rfc3339(seconds * 1000);
    let line = |key: &PublicKey| {
        let until = match key.until {
            Some(until) if until <= now => format!("ended {}", time(until)),
            Some(until) => format!("until {}", time(until)),
            None => "no end yet".into(),
        };
        format!("{}  from {}  {until}", key.kid, time(key.from))
    };
    match published.is_empty() {
        true => Ok("No key has been published yet.".into()),
        false => Ok(published.iter().map(line).collect::<Vec<_>>().join("\n")),
    }
}

/// Replaces the signing secret by a new random secret, and publishes the new secret's public key.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn rotate_key(target: &Target) -> Result<String, String> {
    in_store(target, rotate_in).await
}

async fn rotate_in(Opened { app, settings, aws, .. }: &Opened) -> Result<String, String> {
    let secret = dynamo::new_secret();
    match settings.signing_secret() {
        Ok(Secret::File(path)) => dynamo::write_private(&path, &secret)?,
        Ok(Secret::Arn(arn)) => secrets::put(&arn, &secret, aws)
            .await
            .map_err(|error| format!("The secret can't be replaced: {error}."))?,
        Ok(Secret::Value(_)) | Err(_) => {
            return Err("SIGNING_SECRET must name where the secret is kept: the ARN of a Secrets Manager secret, or file:///path.".into());
        }
    }
    let signer = Signer::new(Secret::Value(secret), aws, app.clock.clone()).await;
    let signer = signer.map_err(|error| format!("{error}."))?;
    signer.announce(&app.store).await.map_err(sentence)?;
    Ok(format!("The key {} signs all new tokens within five minutes.", signer.kid()))
}

/// Withdraws a public key, unless it belongs to the signing key.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn withdraw_key(target: &Target, kid: &str) -> Result<String, String> {
    in_store(target, async |Opened { app, .. }| withdraw_in(app, kid).await).await
}

async fn withdraw_in(app: &App, kid: &str) -> Result<String, String> {
    let published = app.store.public_keys().await.map_err(sentence)?;
    if !published.iter().any(|key| key.kid == kid) {
        return Err(format!("No public key has the id {kid:?}; `manage keys` lists them."));
    }
    // The newest public key signs already or will soon sign, because a key is published before it
    // signs.
    if published
        .iter()
        .filter(|key| key.until.is_none())
        .max_by_key(|key| key.from)
        .is_some_and(|newest| newest.kid == kid)
    {
        return Err(format!(
            "The key {kid} is the signing key. Replace it first, with `manage rotate-key`."
        ));
    }
    app.store.withdraw_key(kid).await.map_err(sentence)?;
    Ok(format!("Tokens that the key {kid} signed become invalid within five minutes."))
}

/// Erases the data of deleted accounts, as the scheduled function does, until nothing is left.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn erase(target: &Target) -> Result<String, String> {
    let ErasureReport { accounts, items, gone } =
        in_store(target, async |Opened { app, .. }| {
            app.store.erase(app.clock.seconds(), A_DAY).await.map_err(sentence)
        })
        .await?;
    let [items, accounts, gone] = [(items, "item"), (accounts, "deleted account"), (gone, "name")]
        .map(|(number, what)| counted(number, what));
    Ok(format!("{items} of {accounts} erased, {gone} free again"))
}

/// Counts the accounts and sorts them, as the scheduled function does.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn census(target: &Target) -> Result<String, String> {
    let census = in_store(target, async |Opened { app, .. }| census_in(app).await).await?;
    Ok(format!("{} with {} tokens", counted(census.users, "account"), census.tokens))
}

async fn census_in(app: &App) -> Result<Census, String> {
    let imports = app.imports.current().await.map_err(sentence)?;
    app.store.take_census(app.clock.millis(), imports.as_deref()).await.map_err(sentence)
}

/// Opens the store, does the work of a command, and closes the store again.
///
/// # Errors
/// Fails with a sentence for the terminal. Also fails if a data folder has no store.
pub(crate) async fn in_store<T>(
    target: &Target,
    work: impl AsyncFnOnce(&Opened) -> Result<T, String>,
) -> Result<T, String> {
    work_in(target.open(Missing::Refuse).await?, work).await
}

/// Like [`in_store`], but creates the store in a data folder that has none. Only for commands with
/// which a store may begin.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub(crate) async fn in_new_store<T>(
    target: &Target,
    work: impl AsyncFnOnce(&Opened) -> Result<T, String>,
) -> Result<T, String> {
    work_in(target.open(Missing::Create).await?, work).await
}

async fn work_in<T>(
    opened: Opened,
    work: impl AsyncFnOnce(&Opened) -> Result<T, String>,
) -> Result<T, String> {
    let done = work(&opened).await;
    opened.close().await;
    done
}
