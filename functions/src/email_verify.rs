//! `POST /api/user/email/verify` - prove an e-mail address with the token that was sent to it.
//!
//! In: `{token}`; no access token is needed. Out: the address, which is now the account's own. The
//! first proof of an address invalidates every session, API key and e-mailed link of the account.

use serde::{Deserialize, Serialize};
use shared::auth::LinkToken;
use shared::error::required;
use shared::openapi::Given;
use shared::store::Purpose;
use shared::{App, Error, Reply, Request, http};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = LinkUsed)]
struct Body {
    /// The token of the e-mail: 43 characters.
    #[schema(value_type = Given, examples("0l2k1pOQvLJ7DRxPAjZ2eWd9S0Xn8ZrJ3yT1mC5uHbE"))]
    token: Option<String>,
}

/// One transaction uses the link, takes the claim of the address from an account without proof, and
/// invalidates what was created before.
#[utoipa::path(
    post,
    path = "/api/user/email/verify",
    tag = "Accounts",
    summary = "Verify an e-mail address",
    description = "The token of the e-mail works once. Another account that had the address unverified loses it. The first verification of an address \
        invalidates every session, API key and e-mailed link of the account: log in again.",
    request_body = Body,
    responses((status = 200, description = "The address is verified.", body = Verified)),
    extensions(("x-fails" = json!(["InvalidLink", "EmailTaken"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { token } = http::json(&req)?;
    let token = required(token).map_err(|sentence| Error::field("token", sentence))?;
    let token = LinkToken::parse(&token)?;
    let now = app.clock.seconds();

    let link = app.store.link(&token, Purpose::Verify, now).await?;
    let account = app.store.verify_address(&link, now).await?;
    tracing::info!(user = account.id, "address verified");
    http::ok(&Verified {
        message: "E-mail address verified. Log in again.",
        email: account.email.as_deref(),
        email_verified: true,
    })
}

/// A verified address.
#[derive(Serialize, ToSchema)]
struct Verified<'a> {
    /// A sentence for people.
    #[schema(examples("E-mail address verified. Log in again."))]
    message: &'static str,
    /// The address.
    #[schema(required, nullable = false, examples("ann@example.com"))]
    email: Option<&'a str>,
    /// Always true.
    #[schema(examples(true))]
    email_verified: bool,
}
