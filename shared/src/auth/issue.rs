//! Issues a session's JWTs.

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::IssuerApp;
use crate::http;
use crate::http::cookie::{self, StoredHeader};
use crate::values::{AccessToken, Account, DeviceToken, RefreshToken, Session};
use crate::{App, Request, Result};

/// Starts a session for this account and stores it. Issue the session's JWTs only after this
/// function has succeeded.
///
/// # Errors
/// Returns [`Error::Unavailable`](crate::Error::Unavailable).
pub async fn begin_session(app: &App, req: &Request, account: &Account) -> Result<Session> {
    let session = Session::new(account, http::device(req), &app.clock, app.config.session_life);
    app.store.start_session(&session).await?;
    Ok(session)
}

/// Issues the JWTs of a new session: the pair from [`issue_pair`], the long-lived `token` for
/// clients that don't refresh, and a device token, which identifies the client at its next log-in.
pub async fn issue(
    app: &IssuerApp,
    req: &Request,
    account: &Account,
    session: &Session,
) -> Result<(SessionTokens, Vec<StoredHeader>)> {
    let now = app.clock.seconds();
    let access = AccessToken::new(account, session, now + app.accounts.access_token_life.as_secs());
    let (pair, cookie) =
        issue_pair(app, req, &access, &RefreshToken::first(account, session)).await?;
    // The cookie hides the refresh token from scripts. A long-lived token in the body would be
    // visible to scripts.
    let token = match cookie {
        None => Some(AccessToken::new(account, session, session.ends).sign(app).await?),
        Some(_) => None,
    };
    let device =
        DeviceToken::from_request(app, req).await.filter(|device| device.user_id == account.id);
    let device = DeviceToken::new(
        account,
        device.map_or_else(|| app.clock.id().to_string(), |device| device.id),
        cookie::origin(req),
        now,
    );
    let kept =
        cookie::keeping_device(req, &device.sign(app).await?, device.ends.saturating_sub(now))?;
    Ok((SessionTokens { token, pair }, cookie.into_iter().chain([kept]).collect()))
}

/// Issues an access token and a refresh token. The body contains both tokens, unless the client
/// requests the refresh token in a cookie. A refresh token in a cookie is bound to the origin of
/// the client's page.
pub async fn issue_pair(
    app: &IssuerApp,
    req: &Request,
    access: &AccessToken,
    refresh: &RefreshToken,
) -> Result<(TokenPair, Option<StoredHeader>)> {
    let access = access.sign(app).await?;
    if !cookie::is_wanted(req) {
        return Ok((TokenPair { access, refresh: Some(refresh.sign(app).await?) }, None));
    }
    let signed = refresh.bound_to(cookie::origin(req)).sign(app).await?;
    let seconds = refresh.ends.saturating_sub(app.clock.seconds());
    Ok((TokenPair { access, refresh: None }, Some(cookie::keeping(req, &signed, seconds)?)))
}

/// A new session's tokens. With `X-Refresh-Token: cookie`, the refresh token is in a cookie, and
/// the body contains only `access`.
#[derive(Serialize, ToSchema)]
pub struct SessionTokens {
    /// An access token for clients that don't refresh. This access token is valid until the session
    /// ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("eyJ0eXAiOi..."))]
    token: Option<String>,
    /// The access token and the refresh token.
    #[serde(flatten)]
    pair: TokenPair,
}

/// A session's current tokens.
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// An access token that is valid for one hour.
    #[schema(examples("eyJ0eXAiOi..."))]
    access: String,
    /// The refresh token, with which the client gets the next access token. With `X-Refresh-Token:
    /// cookie`, a cookie contains the refresh token instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("eyJ0eXAiOi..."))]
    refresh: Option<String>,
}
