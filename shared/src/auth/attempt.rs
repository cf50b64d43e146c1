//! Password attempts: at a log-in, at a retried registration, and when an endpoint requires the
//! current password.

use crate::passwords::{self, Verdict};
use crate::store::Attempt;
use crate::values::{Account, DeviceToken};
use crate::{App, Error, Result};

/// The account that a password attempt is for, if it exists.
pub enum PasswordOwner {
    /// The account with this login.
    Account(Box<Account>),
    /// No account has this login.
    Unknown {
        /// A hash that doesn't match any password. Checking it takes as long as checking an
        /// account's hash might take. Without a decoy, the check takes as long as for a current
        /// hash.
        decoy: Option<String>,
    },
}

/// A password attempt that was counted in the store and whose password was checked.
pub struct CheckedAttempt {
    /// The account, or `None` if no account has this login. The check takes equally long in both
    /// cases.
    pub account: Option<Account>,
    /// The result of the check.
    pub verdict: Verdict,
    attempt: Attempt,
}

/// Reads the owner and counts the attempt in parallel. If the limits allow the attempt, checks the
/// password. A client with a `device` token for the account has a separate limit.
///
/// # Errors
/// If a limit is exceeded, returns [`Error::TooManyAttempts`] or [`Error::TooManyConfirmations`]
/// without checking the password.
pub async fn attempt(
    app: &App,
    mut attempt: Attempt,
    device: impl Future<Output = Option<DeviceToken>>,
    owner: impl Future<Output = Result<PasswordOwner>>,
    password: &str,
) -> Result<CheckedAttempt> {
    let counts = async { Ok(app.store.begin_attempt(&attempt).await?) };
    let (owner, counts) = tokio::try_join!(owner, counts)?;
    let device = device.await;
    let (account, hash) = match owner {
        PasswordOwner::Account(account) => {
            let hash = passwords::hash_of(&account).to_owned();
            (Some(*account), Some(hash))
        }
        PasswordOwner::Unknown { decoy } => (None, decoy),
    };
    app.store.admit_attempt(&mut attempt, counts, device.as_ref(), account.as_ref()).await?;
    let verdict = app.passwords.check(password, hash).await?;
    Ok(CheckedAttempt { account, verdict, attempt })
}

impl CheckedAttempt {
    /// Returns `wrong`, the error for a wrong password. If too many attempts from the client's
    /// network have failed, returns the error for that limit instead.
    pub fn refused(&self, wrong: Error) -> Error {
        self.attempt.refused(wrong)
    }

    /// Records that the attempt's password was correct, so that the attempt no longer counts.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`].
    pub async fn pass(&self, app: &App) -> Result<()> {
        Ok(app.store.pass_attempt(&self.attempt).await?)
    }
}
