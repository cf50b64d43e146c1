//! `POST /api/token/refresh` - trade a refresh token for a new access token and the refresh token that takes its place.
//!
//! In: `{refresh}`. Out: `access` and `refresh`. Asked again with the same token, it gives the same `refresh`; a client that keeps
//! its first one for ever goes on until the session ends.

use serde::Deserialize;
use serde_json::json;
use shared::auth::{AccessToken, RefreshToken};
use shared::store::{Ending, Rotation};
use shared::{App, Error, Reply, Request, http};

#[derive(Deserialize)]
struct Body {
    refresh: Option<String>,
}

/// One conditional write, beside a read of the account. A dead token ends its session: somebody has an old copy.
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { refresh } = http::json(&req)?;
    let refresh = refresh.filter(|text| !text.is_empty()).ok_or_else(|| Error::field("refresh", "This field is required."))?;
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
            // The session goes last: without it nobody would find the way here again.
            app.store.end(&robbed, Ending::One { session: session.id(), ends: session.ends }, now).await?;
            app.store.delete_session(&account.id, session.id()).await?;
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
