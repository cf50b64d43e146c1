//! `POST /api/token/refresh` - exchange a refresh token for a new access token and the next refresh
//! token.
//!
//! Advances the session with one conditional write, and reads the account in parallel. A client
//! that ignores the new refresh tokens can keep using its first one until the session ends.

use serde::Deserialize;
use shared::app::IssuerApp;
use shared::auth::{self, TokenPair};
use shared::error::{Failure, TokenFault, required};
use shared::http::{self, cookie};
use shared::openapi::KeptInCookie;
use shared::store::Rotation;
use shared::values::{AccessToken, RefreshToken};
use shared::{Error, Reply, Request, Result};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Refreshes access tokens").canary().permits(permits![
        READ_SIGNING_SECRET,
        VERIFY_TOKENS,
        update(Keys),
        update(Users(&["user:*"])),
        allow(&[GetItem, UpdateItem, DeleteItem], Tokens(&["session:*"])),
    ]);

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = TokenRefresh, examples(json!({ "refresh": "eyJ0eXAiOi..." })))]
struct Body {
    /// The refresh token. With `X-Refresh-Token: cookie`, `refresh` or the whole body may be
    /// missing; the token in the cookie is then used.
    #[schema(examples("eyJ0eXAiOi..."))]
    refresh: Option<String>,
}

/// Refresh an access token
///
/// The new `refresh` replaces the old one. A repeated request with the old one gets the same
/// `refresh` until the new one is used. A still older one ends its session, because a thief may
/// have a copy of it.
#[utoipa::path(
    post,
    path = super::path::token_refresh,
    tag = "Sessions",
    params(KeptInCookie),
    request_body = Option<Body>,
    responses((status = 200, description = "A new access token, and the next refresh token.", body = TokenPair)),
    extensions(("x-form" = json!(true)), ("x-fails" = json!([Failure::InvalidToken, Failure::NotAuthenticated]))),
)]
pub async fn handle(app: IssuerApp, req: Request) -> Reply {
    let origin = cookie::origin(&req);
    let presented = RefreshToken::verify(&app, &presented(&req)?, origin.as_deref()).await?;
    let now = app.clock.seconds();

    let (rotation, account) = tokio::try_join!(
        app.store.rotate_session(&presented, now),
        app.store.account_named(&presented.name)
    )?;
    let account = account
        .filter(|account| account.id == presented.user_id)
        .ok_or(Error::InvalidToken(TokenFault::Unknown))?;
    let session = match rotation {
        Rotation::Current(session) => session,
        Rotation::Gone => return Err(Error::InvalidToken(TokenFault::Ended)),
        Rotation::Dead(session) => {
            tracing::warn!(
                user = presented.user_id,
                session = presented.session,
                "an outdated refresh token was presented; its session ends"
            );
            let robbed = AccessToken::new(&account, &session, session.ends);
            app.store.end_session(&robbed, &session, now).await?;
            return Err(Error::InvalidToken(TokenFault::Ended));
        }
    };
    let access =
        AccessToken::new(&account, &session, now + app.accounts.access_token_life.as_secs());
    let account = access.admits(Some(account)).ok_or(Error::InvalidToken(TokenFault::Unknown))?;
    tracing::info!(user = account.id, session = presented.session, "refreshed");
    let (tokens, cookie) = auth::issue_pair(&app, &req, &access, &presented.successor()).await?;
    Ok(cookie::set(http::ok(&tokens)?, cookie))
}

/// Returns the refresh token in the body. If the body doesn't contain a token, but the request
/// contains `X-Refresh-Token: cookie`, returns the token in the cookie.
fn presented(req: &Request) -> Result<String> {
    let in_cookie = cookie::is_wanted(req);
    let nothing = in_cookie && req.body().is_empty();
    let Body { refresh } = if nothing { Body::default() } else { http::fields(req)? };
    match required(refresh) {
        Err(_) if in_cookie => {
            cookie::refresh_token(req).map(str::to_owned).ok_or(Error::NotAuthenticated)
        }
        refresh => refresh.map_err(|sentence| Error::field("refresh", sentence)),
    }
}
