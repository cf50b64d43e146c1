//! `POST /api/user/email/verify` - prove an e-mail address by the token that was mailed to it.
//!
//! In: `{token}`; whoever read the mail needs no other. Out: the address, which is the account's own from now on.

use serde::Deserialize;
use serde_json::json;
use shared::auth::LinkToken;
use shared::error::required;
use shared::store::Purpose;
use shared::{App, Error, Reply, Request, http};

#[derive(Deserialize)]
struct Body {
    token: Option<String>,
}

/// One transaction uses the link up and moves the claim: whoever had the address without proof has it no more.
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { token } = http::json(&req)?;
    let token = required(token).map_err(|sentence| Error::field("token", sentence))?;
    let token = LinkToken::parse(&token)?;
    let now = app.clock.seconds();

    let link = app.store.link(&token, Purpose::Verify, now).await?;
    let account = app.store.verify_address(&link, now).await?;
    tracing::info!(user = account.id, "address verified");
    http::ok(&json!({ "message": "E-mail address verified.", "email": account.email, "email_verified": true }))
}
