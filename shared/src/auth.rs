//! Who is calling: passwords at the log-in, access tokens on every call, refresh tokens in between,
//! device tokens beyond sessions, the keys that sign all three, the tokens of mailed links, and the
//! API keys of programs.

pub mod access_token;
pub mod api_key;
pub mod device_token;
pub mod keys;
pub mod link_token;
pub mod password;
pub mod refresh_token;

pub use access_token::AccessToken;
pub use api_key::ApiKey;
pub use device_token::DeviceToken;
pub use keys::{Keyring, Signer};
pub use link_token::LinkToken;
pub use password::{NewPassword, Passwords};
pub use refresh_token::RefreshToken;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::password::Verdict;
use crate::config::LONGEST_SESSION;
use crate::http::cookie::{self, Kept};
use crate::store::{Attempt, Session, Store};
use crate::user::Account;
use crate::{App, Error, Request, Result, http};

/// How far a token's times may be off, in seconds, since clocks are.
pub(crate) const LEEWAY: u64 = 60;

/// The longest token that is looked at, in bytes; ours have less than a thousand.
const TOKEN_LENGTH: usize = 4096;

/// What all kinds of tokens say ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519#section-4.1)).
#[derive(Debug, Serialize, Deserialize)]
struct Claims<T> {
    iss: String,
    /// The issuer for access tokens, and a name below it for every other kind: a verifier that
    /// compares no `typ` refuses those.
    aud: String,
    /// The account's id.
    sub: String,
    /// The key of the account's name, which the account is found by.
    name: String,
    /// The session's id; a device token has the device's.
    sid: String,
    /// The second at which the token ends.
    exp: u64,
    /// The second before which it doesn't hold. Ours have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    #[serde(flatten)]
    kind: T,
}

/// A kind of token: its `typ`, and the audience that it is for below the issuer's name.
struct Kind {
    typ: &'static str,
    audience: Option<&'static str>,
}

impl Kind {
    fn audience(&self, issuer: &str) -> String {
        self.audience.map_or_else(|| issuer.to_owned(), |audience| format!("{issuer}/{audience}"))
    }
}

async fn sign<T: Serialize>(app: &App, kind: &Kind, claims: &Claims<T>) -> Result<String> {
    let signer = app
        .signer
        .as_ref()
        .ok_or_else(|| Error::Internal("this function has no signing secret".into()))?;
    signer.sign(claims, kind.typ, &app.keyring, &app.config).await
}

/// The claims of a token for one of these audiences, if its signature and times hold.
async fn verify<T: DeserializeOwned>(
    app: &App,
    kind: &Kind,
    audiences: &[&str],
    token: &str,
) -> Result<Claims<T>> {
    let claims: Claims<T> =
        app.keyring.verify(token, kind.typ, &app.config.issuer, audiences).await?;
    let now = app.clock.seconds();
    let ended = claims.exp.saturating_add(LEEWAY) < now;
    let beyond_any_session = claims.exp > now + LONGEST_SESSION.as_secs() + LEEWAY;
    let not_yet = claims.nbf.is_some_and(|nbf| nbf > now + LEEWAY);
    if ended || beyond_any_session || not_yet { Err(Error::InvalidToken) } else { Ok(claims) }
}

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
        store.administrator(&self.caller).await.map(drop)
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
    let (account, read) = tokio::join!(app.store.administrator(&caller), read);
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
    app.store.admit(&mut attempt, counts, None, None).await?;
    if app.passwords.check(password, Some(account.password.clone())).await? == Verdict::Wrong {
        tracing::info!(user = account.id, "a current password was wrong");
        return Err(attempt.refused(Error::WrongPassword));
    }
    app.store.pass_attempt(&attempt).await
}

/// The tokens of a session that has just begun, as the client takes them: those of [`hand_out`],
/// and in the body the long-lived `token` of clients that know no refresh. Beside them a device
/// token, which tells at the next log-in that this client is no stranger.
pub async fn issue(
    app: &App,
    req: &Request,
    account: &Account,
    session: &Session,
) -> Result<(SessionTokens, Vec<Kept>)> {
    let now = app.clock.seconds();
    let access = AccessToken::of(account, session, now + app.config.access_token_life.as_secs());
    let (pair, cookie) =
        hand_out(app, req, &access, &RefreshToken::first(account, session)).await?;
    // The long-lived one would be as good as what no script is to see.
    let token = match cookie {
        None => Some(AccessToken::of(account, session, session.ends).sign(app).await?),
        Some(_) => None,
    };
    let device = DeviceToken::at(app, req).await.filter(|device| device.user_id == account.id);
    let device = DeviceToken::of(
        account,
        device.map_or_else(|| app.clock.id().to_string(), |device| device.id),
        now,
    );
    let kept =
        cookie::keeping_device(req, &device.sign(app).await?, device.ends.saturating_sub(now))?;
    Ok((SessionTokens { token, pair }, cookie.into_iter().chain([kept]).collect()))
}

/// An access token and a refresh token as the client takes them: both in the body, or the second in
/// a cookie where it asks for that.
pub async fn hand_out(
    app: &App,
    req: &Request,
    access: &AccessToken,
    refresh: &RefreshToken,
) -> Result<(TokenPair, Option<Kept>)> {
    let (access, signed) = (access.sign(app).await?, refresh.sign(app).await?);
    if !cookie::is_wanted(req) {
        return Ok((TokenPair { access, refresh: Some(signed) }, None));
    }
    let seconds = refresh.ends.saturating_sub(app.clock.seconds());
    Ok((TokenPair { access, refresh: None }, Some(cookie::keeping(req, &signed, seconds)?)))
}

/// The tokens of a session that has just begun. With `X-Refresh-Token: cookie` there is `access`
/// alone; the refresh token is in a cookie.
#[derive(Serialize, ToSchema)]
pub struct SessionTokens {
    /// An access token for clients that know no refresh: it lives as long as the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("eyJ0eXAiOi..."))]
    token: Option<String>,
    /// What is refreshed.
    #[serde(flatten)]
    pair: TokenPair,
}

/// The current tokens of a session.
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// An access token that lives for an hour.
    #[schema(examples("eyJ0eXAiOi..."))]
    access: String,
    /// What gets the next one. With `X-Refresh-Token: cookie` it is in a cookie instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("eyJ0eXAiOi..."))]
    refresh: Option<String>,
}
