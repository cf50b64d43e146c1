//! `POST /api/token/refresh` - trade a refresh token for a new access token and the refresh token that takes its place.
//!
//! In: `{refresh}`. Out: `access` and `refresh`. Asked again with the same token, it gives the same `refresh`; a client that keeps
//! its first one for ever goes on until the session ends.

use serde::Deserialize;
use serde_json::json;
use shared::auth::{AccessToken, RefreshToken};
use shared::error::required;
use shared::store::Rotation;
use shared::{App, Error, Reply, Request, http};

#[derive(Deserialize)]
struct Body {
    refresh: Option<String>,
}

/// One conditional write, beside a read of the account. A dead token ends its session: somebody has an old copy.
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { refresh } = http::json(&req)?;
    let refresh = required(refresh).map_err(|sentence| Error::field("refresh", sentence))?;
    let presented = RefreshToken::verify(&app, &refresh).await?;
    let now = app.clock.seconds();

    let (rotation, account) = tokio::try_join!(app.store.rotate(&presented, now), app.store.account_by_key(&presented.name))?;
    let account = account.filter(|account| account.id == presented.user_id).ok_or(Error::InvalidToken)?;
    let session = match rotation {
        Rotation::Current(session) => session,
        Rotation::Gone => return Err(Error::InvalidToken),
        Rotation::Dead(session) => {
            tracing::warn!(user = presented.user_id, session = presented.session, "a dead refresh token was presented; its session ends");
            let robbed = AccessToken::of(&account, &session, session.ends);
            app.store.end_session(&robbed, &session, now).await?;
            return Err(Error::InvalidToken);
        }
    };
    let access = AccessToken::of(&account, &session, now + app.config.access_token_life.as_secs());
    let account = access.admits(Some(account))?;
    tracing::info!(user = account.id, session = presented.session, "refreshed");
    http::ok(&json!({
        "access": access.sign(&app).await?,
        "refresh": presented.successor().sign(&app).await?,
    }))
}
