//! `POST /api/token/blacklist` - end a refresh token's session, like
//! djangorestframework-simplejwt's endpoint.
//!
//! Reads the session and the account in parallel, and then ends the session as a log-out does. An
//! outdated token is refused, but also ends its session, because a thief may have a copy of the
//! token.

use serde::Deserialize;
use shared::error::{Failure, TokenFault, required};
use shared::http::{self, cookie};
use shared::openapi::Given;
use shared::store::StoreError;
use shared::values::{AccessToken, Freshness, RefreshToken};
use shared::view::Nothing;
use shared::{App, Error, Reply, Request};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Ends sessions by their refresh tokens").permits(permits![
        VERIFY_TOKENS,
        update(Users(&["user:*"])),
        allow(&[GetItem, DeleteItem], Tokens(&["session:*"])),
    ]);

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = Blacklisting, examples(json!({ "refresh": "eyJ0eXAiOi..." })))]
struct Body {
    /// A refresh token.
    #[schema(value_type = Given, examples("eyJ0eXAiOi..."))]
    refresh: Option<String>,
}

/// Blacklist a refresh token
///
/// Ends the session of a refresh token. All tokens of the session are invalid at once, access
/// tokens too. A second request with the token gets 401.
#[utoipa::path(
    post,
    path = super::path::token_blacklist,
    tag = "Sessions",
    request_body = Body,
    responses((status = 200, description = "The session has ended.", body = Nothing)),
    extensions(("x-form" = json!(true)), ("x-fails" = json!([Failure::InvalidToken]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { refresh } = http::fields(&req)?;
    let refresh = required(refresh).map_err(|sentence| Error::field("refresh", sentence))?;
    let presented = RefreshToken::verify(&app, &refresh, cookie::origin(&req).as_deref()).await?;
    let now = app.clock.seconds();

    let (account, session) = match app.store.session_of(&presented, now).await {
        Err(StoreError::NotAccepted) => return Err(Error::InvalidToken(TokenFault::Ended)),
        found => found?,
    };
    let freshness = session.freshness_of(presented.generation, now);
    if freshness == Freshness::Unknown {
        return Err(Error::InvalidToken(TokenFault::Unknown));
    }
    let caller = AccessToken::new(&account, &session, session.ends);
    app.store.end_session(&caller, &session, now).await?;
    tracing::info!(user = account.id, session = presented.session, "blacklisted a refresh token");
    match freshness {
        Freshness::Current => http::ok(&Nothing {}),
        Freshness::Outdated | Freshness::Unknown => Err(Error::InvalidToken(TokenFault::Ended)),
    }
}
