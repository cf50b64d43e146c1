//! The commands for a single account: `farebox manage create-admin`, `adjust` and `unlock`.

use std::env::VarError;

use clap::Args;
use shared::passwords::NewPassword;
use shared::store::{
    AdjustOutcome, Adjustment, FreeWork, NewAccount, RegisterOutcome, StoreError, underheld,
};
use shared::values::{Email, Reason, Role, Username};
use shared::{App, BalanceChange, Credits, Error};

use super::target::{Missing, Opened, Target};
use super::{find, no_account, sentence};

/// Create an administrator
#[derive(Args)]
pub(super) struct CreateAdmin {
    /// The username. A username with an @ is also the e-mail address
    name: String,
    /// The e-mail address. The address is needed to reset a forgotten password
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The balance of the new account
    #[arg(long, default_value_t = 10_000)]
    tokens: u64,
    /// Read the password from this environment variable instead of asking for it
    #[arg(long, value_name = "VARIABLE")]
    password_env: Option<String>,
}

impl CreateAdmin {
    /// Asks for the password only when everything else is known to be valid and the store is open.
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        let name = Username::choose(&self.name)
            .map_err(|sentence| format!("{:?} can't be a username: {sentence}", self.name))?;
        let email = self.email.as_deref().map(|text| {
            Email::choose(text).map_err(|sentence| format!("--email {text:?}: {sentence}"))
        });
        let email = match (email.transpose()?, name.address()) {
            (Some(email), Some(named)) if email.key() != named.key() => {
                return Err(
                    "A username with an @ is the account's e-mail address: give the same address \
                     as --email, or leave it out."
                        .into(),
                );
            }
            (email, named) => email.or(named),
        };
        let grant = Credits::new(self.tokens)
            .ok_or_else(|| format!("--tokens must be at most {}.", Credits::MAX))?;
        target
            .acting(Missing::Create, async |Opened { app, .. }| {
                let known = [name.shown(), email.as_ref().map_or(name.shown(), Email::shown)];
                let password = NewPassword::parse(&self.password()?, &known)?;
                let password =
                    app.passwords.hash(&password).await.map_err(|error| error.detail())?;
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
                match registered {
                    Ok(RegisterOutcome::New | RegisterOutcome::Pending(_)) => {
                        Ok(format!("{} is an administrator with {grant} tokens.", account.name))
                    }
                    Ok(RegisterOutcome::Taken(_))
                    | Err(StoreError::Refused(Error::UsernameTaken)) => {
                        Err(format!("Another account has the name {}.", account.name))
                    }
                    Err(StoreError::Refused(Error::EmailTaken)) => Err(format!(
                        "Another account has the address {}.",
                        account.email.unwrap_or_default()
                    )),
                    Err(error) => Err(sentence(error)),
                }
            })
            .await
    }

    /// Reads the password from the environment, or asks for it twice in the terminal.
    fn password(&self) -> Result<String, String> {
        if let Some(variable) = &self.password_env {
            return std::env::var(variable).map_err(|error| match error {
                VarError::NotPresent => format!("The environment variable {variable} is not set."),
                VarError::NotUnicode(_) => {
                    format!("The environment variable {variable} is not UTF-8 text.")
                }
            });
        }
        let asked = |prompt: &str| {
            rpassword::prompt_password(prompt).map_err(|error| {
                format!("The password can't be read from here ({error}); use --password-env.")
            })
        };
        let password = asked(&format!("Password for {}: ", self.name))?;
        match asked("The password again: ")? == password {
            true => Ok(password),
            false => Err("The two passwords are different.".into()),
        }
    }
}

/// Grant an account tokens, or take some away
#[derive(Args)]
pub(super) struct Adjust {
    /// The account's username, verified e-mail address or id
    name: String,
    /// The number of tokens. A negative number takes tokens away
    #[arg(allow_negative_numbers = true)]
    amount: i64,
    /// The reason. The user can read the reason
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Adjust {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        let reason = Reason::parse(&self.reason)?;
        let change = BalanceChange::new(self.amount).ok_or_else(|| {
            format!("AMOUNT must be a whole number from -{0} to {0} other than 0.", Credits::MAX)
        })?;
        target
            .acting(Missing::Refuse, async |Opened { app, .. }| {
                adjust(app, &self.name, change, reason).await
            })
            .await
    }
}

async fn adjust(
    app: &App,
    name: &str,
    change: BalanceChange,
    reason: Reason,
) -> Result<String, String> {
    let account = find(app, name).await?;
    let adjustment = Adjustment::new(&account, change, reason, app.store.operator(), &app.clock);
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
        // The other outcomes require an idempotency key or a source.
        AdjustOutcome::Gone | AdjustOutcome::KeyUsed | AdjustOutcome::SourceUsed => {
            Err(no_account(name))
        }
    }
}

/// Let a user log in again after too many failures
#[derive(Args)]
pub(super) struct Unlock {
    /// The account's username, verified e-mail address or id
    name: String,
}

impl Unlock {
    pub(super) async fn run(self, target: &Target) -> Result<String, String> {
        target
            .acting(Missing::Refuse, async |Opened { app, .. }| unlock(app, &self.name).await)
            .await
    }
}

/// Lets a user log in and send messages again after too many failures.
async fn unlock(app: &App, name: &str) -> Result<String, String> {
    let now = app.clock.seconds();
    let account = find(app, name).await?;
    tokio::try_join!(
        app.store.forget_attempts(&account.label, account.email.as_deref()),
        app.store.forget_confirmations(&account, now),
        app.store.forget_free_work(&account, now),
        app.store.record_unlock(&account, &app.clock)
    )
    .map_err(sentence)?;
    let [own, by_keys] = [false, true].map(|is_limited| {
        let work = FreeWork::at(now, is_limited);
        let [used, most] = work.shown(&account, app.config.free_work);
        format!("{used} of {most} tokens")
    });
    Ok(format!(
        "{} can log in and send messages again. Today's failed messages were worth {own}; those by \
         API keys with a limit, {by_keys}. This month, prices exceeded their holds by {} of {} \
         tokens.",
        account.name,
        underheld(&account, now),
        app.config.free_work
    ))
}
