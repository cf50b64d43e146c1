//! `POST /api/token/verify` - check a token, like djangorestframework-simplejwt's endpoint.
//!
//! Reads the token's session and account with strong consistency, and changes nothing. An outdated
//! refresh token ends its session when it is used, not when it is checked.

use serde::Deserialize;
use shared::error::{Failure, TokenFault, required};
use shared::http::{self, cookie};
use shared::openapi::Given;
use shared::store::StoreError;
use shared::values::{AccessToken, Freshness, RefreshToken};
use shared::view::Nothing;
use shared::{App, Error, Reply, Request, Result};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Checks tokens").permits(permits![VERIFY_TOKENS, get(Tokens(&["session:*"]))]);

#[derive(Default, Deserialize, ToSchema)]
#[schema(as = Verification, examples(json!({ "token": "eyJ0eXAiOi..." })))]
struct Body {
    /// An access or refresh token.
    #[schema(value_type = Given, examples("eyJ0eXAiOi..."))]
    token: Option<String>,
}

/// Verify a token
///
/// Checks that an access or refresh token is valid now. Log-out, a new password and the end of its
/// session make a token invalid before it expires. If the session of a refresh token has ended, or
/// a later token has replaced it, the reply is 400.
#[utoipa::path(
    post,
    path = super::path::token_verify,
    tag = "Sessions",
    request_body = Body,
    responses((status = 200, description = "The token is valid.", body = Nothing)),
    extensions(("x-form" = json!(true)), ("x-fails" = json!([Failure::InvalidToken, Failure::TokenBlacklisted]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { token } = http::fields(&req)?;
    let token = required(token).map_err(|sentence| Error::field("token", sentence))?;
    match AccessToken::verify(&app, &token).await {
        Ok(access) => app.store.account_of(&access).await.map(drop)?,
        Err(Error::InvalidToken(TokenFault::OtherType)) => {
            check_refresh(&app, &req, &token).await?;
        }
        Err(failure) => return Err(failure),
    }
    http::ok(&Nothing {})
}

/// Checks a refresh token against its session and account.
async fn check_refresh(app: &App, req: &Request, token: &str) -> Result<()> {
    let presented = RefreshToken::verify(app, token, cookie::origin(req).as_deref()).await;
    let presented = presented.map_err(|error| match error {
        // This endpoint accepts access tokens and refresh tokens. For a token of any other type,
        // the error says that the token is invalid, not that its type is wrong.
        Error::InvalidToken(TokenFault::OtherType) => Error::InvalidToken(TokenFault::Unknown),
        error => error,
    })?;
    let now = app.clock.seconds();
    let (_, session) = match app.store.session_of(&presented, now).await {
        Err(StoreError::NotAccepted) => return Err(Error::TokenBlacklisted),
        found => found?,
    };
    match session.freshness_of(presented.generation, now) {
        Freshness::Current => Ok(()),
        Freshness::Outdated => Err(Error::TokenBlacklisted),
        Freshness::Unknown => Err(Error::InvalidToken(TokenFault::Unknown)),
    }
}
