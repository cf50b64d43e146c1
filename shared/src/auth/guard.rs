//! Identifies a request's caller.

use std::future::ready;

use crate::auth::attempt::{PasswordOwner, attempt};
use crate::config::AccountConfig;
use crate::error::TokenFault;
use crate::passwords::Verdict;
use crate::store::Attempt;
use crate::values::{AccessToken, Account, Administrator, ApiKey, Credential};
use crate::{App, Error, Request, Result, http};

/// Returns the access token in the `Authorization` header. This function doesn't read the account;
/// each endpoint checks the account when it reads or writes other data.
///
/// # Errors
/// Returns [`Error::NotAuthenticated`] if the header is missing, and [`Error::InvalidToken`] if its
/// value is invalid.
pub async fn caller(app: &App, req: &Request) -> Result<AccessToken> {
    let bearer = http::authorization(req)?.ok_or(Error::NotAuthenticated)?;
    AccessToken::verify(app, bearer).await
}

/// Like [`caller`], but returns `None` if the header is missing.
///
/// # Errors
/// Returns [`Error::InvalidToken`] if the header's value is invalid.
pub async fn caller_or_visitor(app: &App, req: &Request) -> Result<Option<AccessToken>> {
    match http::authorization(req)? {
        Some(bearer) => AccessToken::verify(app, bearer).await.map(Some),
        None => Ok(None),
    }
}

/// Like [`caller`], but for routes that old clients use. On these routes, the header may also
/// contain only the token, without a scheme.
///
/// # Errors
/// Returns the same errors as [`caller`].
pub async fn caller_of_old_client(app: &App, req: &Request) -> Result<AccessToken> {
    let bearer = http::authorization_or_token(req)?.ok_or(Error::NotAuthenticated)?;
    AccessToken::verify(app, bearer).await
}

/// Returns the API key or access token in the `Authorization` header. API keys are compared with
/// their stored hashes. This function doesn't read the account.
///
/// # Errors
/// Returns the same errors as [`caller`], and [`Error::ApiKeyExpired`].
pub async fn program(app: &App, req: &Request) -> Result<Credential> {
    let bearer = http::authorization(req)?.ok_or(Error::NotAuthenticated)?;
    match ApiKey::looks_like(bearer) {
        true => stored_key(app, bearer).await,
        false => AccessToken::verify(app, bearer).await.map(Credential::Session),
    }
}

/// Like [`program`], but the API key may also be in the header `x-api-key`, where Anthropic's clients
/// send it.
///
/// # Errors
/// Returns the errors of [`program`], and [`Error::TwoCredentials`] if the two headers differ.
pub async fn program_with_x_api_key(app: &App, req: &Request) -> Result<Credential> {
    match (http::authorization(req)?, http::api_key(req)?) {
        (Some(bearer), Some(key)) if bearer != key => Err(Error::TwoCredentials),
        (None, Some(key)) => stored_key(app, key).await,
        _ => program(app, req).await,
    }
}

/// Returns the API key with this text, if it is stored and hasn't expired.
async fn stored_key(app: &App, text: &str) -> Result<Credential> {
    let key = ApiKey::parse(text).ok_or(Error::InvalidToken(TokenFault::Unknown))?;
    let stored = app.store.api_key(&key.id().to_string()).await?;
    let stored = stored
        .filter(|stored| key.matches(stored.hash()))
        .ok_or(Error::InvalidToken(TokenFault::Unknown))?;
    tracing::Span::current().record("user", &stored.user_id).record("api_key", stored.id());
    if stored.has_expired(app.clock.seconds()) {
        return Err(Error::ApiKeyExpired);
    }
    Ok(Credential::ApiKey(stored))
}

/// Requires that the caller is an administrator. `read` runs in parallel, and its result is dropped
/// if the check fails.
///
/// # Errors
/// Returns the same errors as [`caller`], [`Error::Forbidden`], or an error from `read`.
pub async fn administrator<T>(
    app: &App,
    req: &Request,
    read: impl Future<Output = Result<T>>,
) -> Result<(Administrator, T)> {
    let caller = caller(app, req).await?;
    let (administrator, read) = tokio::join!(app.store.administrator(&caller), read);
    Ok((administrator?, read?))
}

/// Requires the account's current password in addition to a valid access token. The number of
/// attempts is limited in the same way as for log-ins. The attempts are counted per session, so
/// that a thief with a stolen access token can't block the owner's log-ins or other sessions.
///
/// # Errors
/// Returns [`Error::WrongPassword`], [`Error::TooManyConfirmations`] or [`Error::TooManyAttempts`].
pub async fn confirm(
    app: &App,
    accounts: &AccountConfig,
    req: &Request,
    caller: &AccessToken,
    account: &Account,
    password: &str,
) -> Result<()> {
    let (now, network) = (app.clock.seconds(), http::source_network(req));
    let counted =
        Attempt::of_owner(&account.id, &caller.session, network.as_deref(), accounts, now);
    let owner = ready(Ok(PasswordOwner::Account(account.clone().into())));
    let checked = attempt(app, counted, ready(None), owner, password).await?;
    if checked.verdict == Verdict::Wrong {
        tracing::info!(user = caller.user_id, "a current password was wrong");
        return Err(checked.refused(Error::WrongPassword));
    }
    checked.pass(app).await
}
