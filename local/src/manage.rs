//! The commands of administrators, for the store of the environment or of a data folder. Each
//! command returns a sentence for the terminal, or fails with such a sentence.

pub mod import;
pub mod prices;
pub mod restore;
pub mod till;
pub mod vouchers;

use std::fmt::Display;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use indicatif::{ProgressBar, ProgressStyle};
use shared::clock::{self, Clock};
use shared::config::{Config, Secret, Settings};
use shared::keys::{self, Signer};
use shared::passwords::NewPassword;
use shared::store::{
    AdjustOutcome, Adjustment, Census, ErasureReport, FreeWork, NewAccount, PublicKey,
    RegisterOutcome, Store, StoreError,
};
use shared::telemetry::metrics::{self, Metric};
use shared::values::{Account, Email, Reason, Role, Username, login_key};
use shared::{App, BalanceChange, Credits, Error, aws};

use crate::server::environment_of;
use emulator::dynamo::{self, Data, Dynamo};
use emulator::template::Template;

/// Creates an administrator. A username with an `@` is also the account's e-mail address.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn create_admin(
    data: &Path,
    name: &str,
    email: Option<&str>,
    tokens: u64,
    password: &str,
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
    let password = NewPassword::parse(
        password,
        &[name.shown(), email.as_ref().map_or(name.shown(), Email::shown)],
    )?;
    let (app, embedded) = open(data).await?;

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
    close(embedded).await;
    match registered {
        Ok(RegisterOutcome::New | RegisterOutcome::Pending(_)) => {
            Ok(format!("{} is an administrator with {grant} tokens.", account.name))
        }
        Ok(RegisterOutcome::Taken(_)) | Err(StoreError::UsernameTaken) => {
            Err(format!("Another account has the name {}.", account.name))
        }
        Err(StoreError::EmailTaken) => {
            Err(format!("Another account has the address {}.", account.email.unwrap_or_default()))
        }
        Err(error) => Err(sentence(error)),
    }
}

/// Grants an account credits, or takes some if `amount` is negative.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn adjust(data: &Path, name: &str, amount: i64, reason: &str) -> Result<String, String> {
    let reason = Reason::parse(reason)?;
    let change = BalanceChange::new(amount).ok_or_else(|| {
        format!("AMOUNT must be a whole number from -{0} to {0} other than 0.", Credits::MAX)
    })?;
    let (app, embedded) = open(data).await?;
    let adjusted = adjust_in(&app, name, change, reason).await;
    close(embedded).await;
    adjusted
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
pub async fn unlock(data: &Path, name: &str) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let now = app.clock.seconds();
    let unlocked = match find(&app, name).await {
        Ok(account) => tokio::try_join!(
            app.store.forget_attempts(&account.label, account.email.as_deref()),
            app.store.forget_confirmations(&account, now),
            app.store.forget_free_work(&account, now)
        )
        .map(|((), (), ())| {
            let [own, by_keys] = [false, true].map(|is_limited| {
                let work = FreeWork::at(now, is_limited);
                let [used, most] = work.shown(&account, app.config.free_work);
                format!("{used} of {most} tokens")
            });
            format!(
                "{} can log in and send messages again. Today's failed messages were worth {own}; those by API keys with a limit, {by_keys}.",
                account.name
            )
        })
        .map_err(sentence),
        Err(sentence) => Err(sentence),
    };
    close(embedded).await;
    unlocked
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
pub async fn audit(data: &Path, name: Option<&str>) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let mut report = Report::new();
    let audited = match name {
        Some(name) => match find(&app, name).await {
            Ok(account) => report.add(&app, vec![account.label]).await,
            Err(sentence) => Err(sentence),
        },
        None => audit_all(&app, &mut report).await,
    };
    close(embedded).await;
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
        self.bar.suspend(|| println!("{line}"));
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
        return found.await.map_err(|error| {
            if error == StoreError::NoSuchUser { no_account(name) } else { sentence(error) }
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

/// Returns a failure's sentence for the terminal. The sentence includes the cause, which clients of
/// the API don't get.
pub(crate) fn sentence(error: impl Into<Error>) -> String {
    let error = error.into();
    format!("{} {}", error.detail(), error.cause().unwrap_or_default()).trim_end().to_owned()
}

async fn close(embedded: Option<Dynamo>) {
    if let Some(embedded) = embedded {
        embedded.stop().await;
    }
}

/// Releases every hold whose lease has ended, as the scheduled function does.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn settle(data: &Path) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let swept = app.store.sweep(app.clock.seconds()).await;
    close(embedded).await;
    let swept = swept.map_err(sentence)?;
    Ok(format!("{} reservations of {} accounts were released.", swept.released, swept.accounts))
}

/// Lists the public keys, one per line, oldest first.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn keys(data: &Path) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let published = app.store.public_keys().await;
    close(embedded).await;
    let (mut published, now) = (published.map_err(sentence)?, app.clock.seconds());
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
pub async fn rotate_key(data: &Path) -> Result<String, String> {
    let (settings, embedded) = settings(data).await?;
    let rotated = rotate_in(&settings).await;
    close(embedded).await;
    rotated
}

async fn rotate_in(settings: &Settings<'_>) -> Result<String, String> {
    let app = connect(settings).await?;
    let secret = dynamo::new_secret();
    let aws = aws::connect(app.config.dynamodb_endpoint.as_ref())
        .await
        .map_err(|error| format!("{error}."))?;
    match settings.signing_secret() {
        Ok(Secret::File(path)) => dynamo::write_private(&path, &secret)?,
        Ok(Secret::Arn(arn)) => keys::put_secret(&aws, &arn, &secret).await.map_err(sentence)?,
        Ok(Secret::Value(_)) | Err(_) => {
            return Err("SIGNING_SECRET must name where the secret is kept: the ARN of a Secrets Manager secret, or file:///path.".into());
        }
    }
    let signer = Signer::new(Secret::Value(secret), &aws, app.clock.clone()).await;
    let signer = signer.map_err(|error| format!("{error}."))?;
    signer.announce(&app.store).await.map_err(sentence)?;
    Ok(format!("The key {} signs all new tokens within five minutes.", signer.kid()))
}

/// Withdraws a public key, unless it belongs to the signing key.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn withdraw_key(data: &Path, kid: &str) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let withdrawn = withdraw_in(&app, kid).await;
    close(embedded).await;
    withdrawn
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
pub async fn erase(data: &Path) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let erased = app.store.erase(app.clock.seconds(), A_DAY).await;
    close(embedded).await;
    let ErasureReport { accounts, items, gone } = erased.map_err(sentence)?;
    let [items, accounts, gone] = [(items, "item"), (accounts, "deleted account"), (gone, "name")]
        .map(|(number, what)| counted(number, what));
    Ok(format!("{items} of {accounts} erased, {gone} free again"))
}

/// Counts the accounts and sorts them, as the scheduled function does.
///
/// # Errors
/// Fails with a sentence for the terminal.
pub async fn census(data: &Path) -> Result<String, String> {
    let (app, embedded) = open(data).await?;
    let census = census_in(&app).await;
    close(embedded).await;
    let census = census?;
    Ok(format!("{} with {} tokens", counted(census.users, "account"), census.tokens))
}

async fn census_in(app: &App) -> Result<Census, String> {
    let imports = app.imports.current().await.map_err(sentence)?;
    app.store.take_census(app.clock.millis(), imports.as_deref()).await.map_err(sentence)
}

/// Opens the store of [`settings`].
async fn open(data: &Path) -> Result<(App, Option<Dynamo>), String> {
    let (settings, embedded) = settings(data).await?;
    Ok((connect(&settings).await?, embedded))
}

/// Connects to the store of these settings. The time limits suit a command, which may read whole
/// tables while a person waits.
pub(crate) async fn connect(settings: &Settings<'_>) -> Result<App, String> {
    let config = Config::read(settings).map_err(|error| format!("{error}."))?;
    if config.dynamodb_endpoint.is_none() {
        eprintln!("region {}", region(|name| std::env::var(name).ok())?);
    }
    let aws = aws::connect(config.dynamodb_endpoint.as_ref()).await;
    let aws = aws::patient(aws.map_err(|error| format!("{error}."))?);
    let store = Store::connect(&aws, &config);
    Ok(App::from_parts(config, Clock::default(), store))
}

/// Returns the AWS region in `AWS_REGION` or `AWS_DEFAULT_REGION`. boto3 and SAM CLI, which deploy
/// a stack, read only `AWS_DEFAULT_REGION`.
fn region(variable: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let set = |name| variable(name).filter(|region| !region.is_empty());
    match (set("AWS_REGION"), set("AWS_DEFAULT_REGION")) {
        (Some(one), Some(other)) if one != other => Err(format!(
            "AWS_REGION is {one} and AWS_DEFAULT_REGION is {other}: set both to the region that you mean."
        )),
        (Some(region), _) | (None, Some(region)) => Ok(region),
        (None, None) => {
            Err("No region is set: export AWS_REGION, such as AWS_REGION=eu-central-1.".to_owned())
        }
    }
}

/// Returns true if the environment names the tables of a deployment.
fn names_tables() -> bool {
    std::env::var("USERS_TABLE").is_ok_and(|table| !table.is_empty())
}

/// Returns the settings of the environment, if it names the tables (`USERS_TABLE` and the other
/// four). Otherwise returns the settings of the data folder, and opens the folder unless another
/// process has it open.
async fn settings(data: &Path) -> Result<(Settings<'static>, Option<Dynamo>), String> {
    if names_tables() {
        return Ok((Settings::from_env(), None));
    }
    let (url, signing_secret, embedded) = match dynamo::running(data) {
        Some((url, signing_secret)) => (url, signing_secret, None),
        None => {
            let embedded =
                Dynamo::start(&Data::Folder(data.to_owned()), ([127, 0, 0, 1], 0).into()).await?;
            (embedded.url.clone(), embedded.signing_secret.clone(), Some(embedded))
        }
    };
    let register = Template::load()?
        .functions
        .iter()
        .find(|function| function.name == "register")
        .ok_or("template.yaml has no function register")?;
    let lookup = move |name: &str| environment_of(register, name, &url, &signing_secret);
    Ok((Settings::new(lookup), embedded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_either_variable() {
        let of = |one: &'static str, other: &'static str| {
            region(move |name| {
                let named = if name == "AWS_REGION" { one } else { other };
                (named != "-").then(|| named.to_owned())
            })
        };
        for (one, other) in
            [("eu-west-1", "-"), ("-", "eu-west-1"), ("", "eu-west-1"), ("eu-west-1", "eu-west-1")]
        {
            assert_eq!(of(one, other).unwrap(), "eu-west-1");
        }
        assert!(of("eu-west-1", "us-east-1").unwrap_err().contains("set both"));
        assert!(of("-", "").unwrap_err().contains("No region is set"));
    }
}
