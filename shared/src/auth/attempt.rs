//! Attempts at an account's password: at a log-in, at a retried registration, and when an endpoint
//! requires the current password.

use crate::passwords::Verdict;
use crate::store::{self, Attempt};
use crate::values::{Account, DeviceToken};
use crate::{App, Error, Result};

/// An attempt at a password, after the store has counted it and the password has been checked.
pub struct CheckedAttempt {
    /// The account. `None` if no account has this login. The check takes equally long with and
    /// without an account.
    pub account: Option<Account>,
    /// The result of the check.
    pub verdict: Verdict,
    attempt: Attempt,
}

/// Counts an attempt while it reads the account, and checks the password if the limits admit the
/// attempt. A client with a `device` token for the account has a separate limit.
///
/// # Errors
/// Returns [`Error::TooManyAttempts`] or [`Error::TooManyConfirmations`] without checking the
/// password.
pub async fn attempt(
    app: &App,
    mut attempt: Attempt,
    device: impl Future<Output = Option<DeviceToken>>,
    account: impl Future<Output = store::Result<Option<Account>>>,
    password: &str,
) -> Result<CheckedAttempt> {
    let (account, counts) = tokio::try_join!(account, app.store.begin_attempt(&attempt))?;
    let device = device.await;
    app.store.admit_attempt(&mut attempt, counts, device.as_ref(), account.as_ref()).await?;
    let hash = account.as_ref().map(|account| account.password.clone());
    let verdict = app.passwords.check(password, hash).await?;
    Ok(CheckedAttempt { account, verdict, attempt })
}

impl CheckedAttempt {
    /// Returns `wrong`, the failure for a wrong password. If too many attempts from the client's
    /// network have failed, returns the failure for this limit instead.
    pub fn refused(&self, wrong: Error) -> Error {
        self.attempt.refused(wrong)
    }

    /// Records that the attempt had the right password, so that the attempt no longer counts.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`].
    pub async fn pass(&self, app: &App) -> Result<()> {
        Ok(app.store.pass_attempt(&self.attempt).await?)
    }
}
