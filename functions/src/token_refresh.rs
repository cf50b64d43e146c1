//! `POST /api/token/refresh` - trade a refresh token for a new access token and the refresh token
//! that takes its place.
//!
//! In: `{refresh}`. Out: `access` and `refresh`. Asked again with the same token, it gives the same
//! `refresh`; a client that keeps its first one for ever goes on until the session ends. With
//! `X-Refresh-Token: cookie` both refresh tokens are in a cookie.

use serde::Deserialize;
use shared::app::Issuing;
use shared::auth::{self, AccessToken, RefreshToken, TokenPair};
use shared::error::required;
use shared::http::cookie;
use shared::openapi::KeptInCookie;
use shared::store::Rotation;
use shared::{Error, Reply, Request, Result, http};
use utoipa::ToSchema;

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = Refresh)]
struct Body {
    /// The refresh token. With `X-Refresh-Token: cookie` it may be left out, with the whole body:
    /// then the one in the cookie counts.
    #[schema(examples("eyJ0eXAiOi..."))]
    refresh: Option<String>,
}

/// One conditional write, beside a read of the account. A dead token ends its session: somebody has
/// an old copy.
#[utoipa::path(
    post,
    path = "/api/token/refresh",
    tag = "Sessions",
    summary = "Refresh an access token",
    description = "The new `refresh` takes the old one's place. Asked again with the same one before the new one is used, the reply has the same `refresh`. One that is older still ends its session: somebody has an old copy.",
    params(KeptInCookie),
    request_body = Option<Body>,
    responses((status = 200, description = "A new access token, and the next refresh token.", body = TokenPair)),
    extensions(("x-fails" = json!(["InvalidToken", "NotAuthenticated"]))),
)]
pub async fn handle(app: Issuing, req: Request) -> Reply {
    let presented = RefreshToken::verify(&app, &presented(&req)?).await?;
    let now = app.clock.seconds();

    let (rotation, account) = tokio::try_join!(
        app.store.rotate_session(&presented, now),
        app.store.account_named(&presented.name)
    )?;
    let account =
        account.filter(|account| account.id == presented.user_id).ok_or(Error::InvalidToken)?;
    let session = match rotation {
        Rotation::Current(session) => session,
        Rotation::Gone => return Err(Error::InvalidToken),
        Rotation::Dead(session) => {
            tracing::warn!(
                user = presented.user_id,
                session = presented.session,
                "a dead refresh token was presented; its session ends"
            );
            let robbed = AccessToken::of(&account, &session, session.ends);
            app.store.end_session(&robbed, &session, now).await?;
            return Err(Error::InvalidToken);
        }
    };
    let access = AccessToken::of(&account, &session, now + app.config.access_token_life.as_secs());
    let account = access.admits(Some(account))?;
    tracing::info!(user = account.id, session = presented.session, "refreshed");
    let (tokens, cookie) = auth::hand_out(&app, &req, &access, &presented.successor()).await?;
    Ok(cookie::set(http::ok(&tokens)?, cookie))
}

/// The refresh token of the body; where there is none, that of the cookie, if the client says that
/// it keeps one there.
fn presented(req: &Request) -> Result<String> {
    let in_cookie = cookie::is_wanted(req);
    let Body { refresh } = if in_cookie { http::json_or_nothing(req)? } else { http::json(req)? };
    match required(refresh) {
        Err(_) if in_cookie => {
            cookie::refresh_token(req).map(str::to_owned).ok_or(Error::NotAuthenticated)
        }
        refresh => refresh.map_err(|sentence| Error::field("refresh", sentence)),
    }
}
