//! Who is calling: passwords at the log-in, access tokens on every call, refresh tokens in between, the keys that sign both,
//! and the tokens of mailed links.

pub mod access_token;
pub mod keys;
pub mod link_token;
pub mod password;
pub mod refresh_token;

pub use access_token::AccessToken;
pub use keys::{Keyring, Signer};
pub use link_token::LinkToken;
pub use password::{NewPassword, Passwords};
pub use refresh_token::RefreshToken;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth::password::Verdict;
use crate::config::LONGEST_SESSION;
use crate::store::{Attempt, Session};
use crate::user::Account;
use crate::{App, Error, Request, Result, http};

/// How far a token's times may be off, in seconds, since clocks are.
pub(crate) const LEEWAY: u64 = 60;

/// The longest token that is looked at, in bytes; ours have less than a thousand.
const TOKEN_LENGTH: usize = 4096;

/// What both kinds of tokens say ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)).
#[derive(Debug, Serialize, Deserialize)]
struct Claims<T> {
    iss: String,
    aud: String,
    /// The account's id.
    sub: String,
    /// The key of the account's name, which the account is found by.
    name: String,
    /// The session's id.
    sid: String,
    /// The second at which the token ends.
    exp: u64,
    /// The second before which it doesn't hold. Ours have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(flatten)]
    kind: T,
}

async fn sign<T: Serialize>(app: &App, typ: &str, claims: &Claims<T>) -> Result<String> {
    let signer = app.signer.as_ref().ok_or_else(|| Error::Internal("this function has no signing secret".into()))?;
    signer.sign(claims, typ, &app.keyring, &app.config).await
}

async fn verify<T: DeserializeOwned>(app: &App, typ: &str, token: &str) -> Result<Claims<T>> {
    let claims: Claims<T> = app.keyring.verify(token, typ, &app.config.issuer).await?;
    let now = app.clock.seconds();
    let ended = claims.exp.saturating_add(LEEWAY) < now;
    let beyond_any_session = claims.exp > now + LONGEST_SESSION.as_secs() + LEEWAY;
    let not_yet = claims.nbf.is_some_and(|nbf| nbf > now + LEEWAY);
    if ended || beyond_any_session || not_yet { Err(Error::InvalidToken) } else { Ok(claims) }
}

/// Who calls, by the `Authorization` header. The store has not been asked yet: each endpoint does that with what it reads or writes.
pub async fn caller(app: &App, req: &Request) -> Result<AccessToken> {
    let token = http::authorization(req)?.ok_or(Error::NotAuthenticated)?;
    AccessToken::verify(app, token).await
}

/// Asserts that whoever holds a token of this account knows its password too. Guesses are limited as at the log-in, and counted apart from
/// it, so that who stole a token keeps nobody from logging in.
///
/// # Errors
/// [`Error::WrongPassword`] and [`Error::TooManyAttempts`].
pub async fn confirm(app: &App, req: &Request, account: &Account, password: &str) -> Result<()> {
    let now = app.clock.seconds();
    let mut attempt = Attempt::of_owner(&account.id, http::source_network(req).as_deref(), &app.config, now);
    app.store.begin_attempt(&mut attempt, now).await?;
    if app.passwords.check(password, Some(account.password.clone())).await? == Verdict::Wrong {
        tracing::info!(user = account.id, "a current password was wrong");
        app.store.fail_attempt(&attempt, app.clock.seconds()).await?;
        return Err(Error::WrongPassword);
    }
    app.store.pass_attempt(&attempt).await
}

/// The tokens of a session that has just begun: `access` and `refresh`, and the long-lived `token` of clients that know no refresh.
pub async fn issue(app: &App, account: &Account, session: &Session) -> Result<Value> {
    let access = AccessToken::of(account, session, app.clock.seconds() + app.config.access_token_life.as_secs());
    let token = AccessToken::of(account, session, session.ends);
    let refresh = RefreshToken::first(account, session);
    Ok(json!({
        "token": token.sign(app).await?,
        "access": access.sign(app).await?,
        "refresh": refresh.sign(app).await?,
    }))
}
