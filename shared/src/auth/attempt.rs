//! Attempts at the password of an account: at a log-in, at a retried registration, and wherever the
//! current password is required again.

use crate::passwords::Verdict;
use crate::store::{self, Attempt};
use crate::values::{Account, DeviceToken};
use crate::{App, Error, Result};

/// An attempt that the store has counted, and whose password was checked.
pub struct CheckedAttempt {
    /// The account. `None` if no account has this login; the check takes as long then.
    pub account: Option<Account>,
    /// What the password is.
    pub verdict: Verdict,
    attempt: Attempt,
}

/// Counts an attempt while `account` is read, and checks the password if the limits admit it. A
/// client with a `device` token of the account has a limit of its own.
///
/// # Errors
/// [`Error::TooManyAttempts`] and [`Error::TooManyConfirmations`]; the password wasn't checked.
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
    /// The failure for a wrong password: `wrong`, unless the client's network has failed too often.
    pub fn refused(&self, wrong: Error) -> Error {
        self.attempt.refused(wrong)
    }

    /// Records that the password was right: the attempt no longer counts.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn pass(&self, app: &App) -> Result<()> {
        Ok(app.store.pass_attempt(&self.attempt).await?)
    }
}
