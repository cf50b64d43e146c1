//! Issues the tokens of a session.

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::IssuerApp;
use crate::http;
use crate::http::cookie::{self, StoredHeader};
use crate::values::{AccessToken, Account, DeviceToken, RefreshToken, Session};
use crate::{App, Request, Result};

/// Begins a session of this account: stores it, before its tokens are issued.
///
/// # Errors
/// [`Error::Unavailable`](crate::Error::Unavailable).
pub async fn begin_session(app: &App, req: &Request, account: &Account) -> Result<Session> {
    let session = Session::new(account, http::device(req), &app.clock, app.config.session_life);
    app.store.start_session(&session).await?;
    Ok(session)
}

/// The tokens of a new session: those of [`issue_pair`], the long-lived `token` for clients that
/// don't refresh, and a device token, with which the client is known at the next log-in.
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
    // The long-lived token would give scripts what the cookie keeps from them.
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

/// An access token and a refresh token: both in the body, or the refresh token in a cookie if the
/// client asks for that, bound to the origin of its page.
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

/// The tokens of a new session. With `X-Refresh-Token: cookie` the body has only `access`; the
/// refresh token is in a cookie.
#[derive(Serialize, ToSchema)]
pub struct SessionTokens {
    /// An access token for clients that don't refresh: it is valid as long as the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("eyJ0eXAiOi..."))]
    token: Option<String>,
    /// The tokens that are refreshed.
    #[serde(flatten)]
    pair: TokenPair,
}

/// The current tokens of a session.
#[derive(Serialize, ToSchema)]
pub struct TokenPair {
    /// An access token that is valid for an hour.
    #[schema(examples("eyJ0eXAiOi..."))]
    access: String,
    /// The refresh token, for the next access token. With `X-Refresh-Token: cookie` it is in a
    /// cookie instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("eyJ0eXAiOi..."))]
    refresh: Option<String>,
}
