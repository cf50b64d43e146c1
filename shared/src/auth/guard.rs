//! Who may: the caller of a request, by what it carries.

use super::password::Verdict;
use super::{AccessToken, ApiKey};
use crate::store::{Attempt, Store};
use crate::user::Account;
use crate::{App, Error, Request, Result, http};

/// Who calls, by the `Authorization` header. The store has not been asked yet: each endpoint does
/// that with what it reads or writes.
pub async fn caller(app: &App, req: &Request) -> Result<AccessToken> {
    let token = http::authorization(req)?.ok_or(Error::NotAuthenticated)?;
    AccessToken::verify(app, token).await
}

/// Which program calls, by the API key in the `Authorization` header; an access token is as good.
/// Of the key the store has been asked, of its account not yet.
pub async fn program(app: &App, req: &Request) -> Result<AccessToken> {
    let token = http::authorization(req)?.ok_or(Error::NotAuthenticated)?;
    if !ApiKey::looks_like(token) {
        return AccessToken::verify(app, token).await;
    }
    let key = ApiKey::parse(token)?;
    let stored = app.store.api_key(&key.id().to_string()).await?;
    let stored = stored.filter(|stored| key.matches(&stored.hash)).ok_or(Error::InvalidToken)?;
    tracing::Span::current().record("user", &stored.user_id).record("api_key", stored.id());
    Ok(AccessToken::of_key(&stored))
}

/// Who calls and is an administrator: only [`administrator`] makes one.
#[derive(Clone, Debug)]
pub struct Administrator {
    caller: AccessToken,
    account: Account,
}

impl Administrator {
    /// The token.
    pub fn caller(&self) -> &AccessToken {
        &self.caller
    }

    /// The account, as it was just read.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Reads the account again.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] and [`Error::Forbidden`] where it is no administrator's any more.
    pub async fn still(&self, store: &Store) -> Result<()> {
        store.account_of_administrator(&self.caller).await.map(drop)
    }
}

/// Asserts that an administrator calls, and does `read` meanwhile: whoever is none learns nothing
/// of what came of it.
///
/// # Errors
/// Those of [`caller`], [`Error::Forbidden`], and then those of `read`.
pub async fn administrator<T>(
    app: &App,
    req: &Request,
    read: impl Future<Output = Result<T>>,
) -> Result<(Administrator, T)> {
    let caller = caller(app, req).await?;
    let (account, read) = tokio::join!(app.store.account_of_administrator(&caller), read);
    Ok((Administrator { account: account?, caller }, read?))
}

/// Asserts that whoever holds a token of this account knows its password too. Guesses are limited
/// as at the log-in, and counted apart from it, so that who stole a token keeps nobody from logging
/// in.
///
/// # Errors
/// [`Error::WrongPassword`] and [`Error::TooManyAttempts`].
pub async fn confirm(app: &App, req: &Request, account: &Account, password: &str) -> Result<()> {
    let now = app.clock.seconds();
    let mut attempt =
        Attempt::of_owner(&account.id, http::source_network(req).as_deref(), &app.config, now);
    let counts = app.store.begin_attempt(&attempt).await?;
    app.store.admit_attempt(&mut attempt, counts, None, None).await?;
    if app.passwords.check(password, Some(account.password.clone())).await? == Verdict::Wrong {
        tracing::info!(user = account.id, "a current password was wrong");
        return Err(attempt.refused(Error::WrongPassword));
    }
    app.store.pass_attempt(&attempt).await
}
