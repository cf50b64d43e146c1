//! `POST /api/password/reset/confirm` - choose a new password by the token that was mailed.
//!
//! In: `{token, password}`; `new_password` stands for `password`. Out: a message; every session has ended, and the new password logs in.

use serde::Deserialize;
use serde_json::json;
use shared::auth::{LinkToken, NewPassword};
use shared::error::{FieldErrors, required};
use shared::store::Purpose;
use shared::{App, Error, Reply, Request, Result, http};

#[derive(Deserialize)]
struct Body {
    token: Option<String>,
    password: Option<String>,
    new_password: Option<String>,
}

/// The link is looked up before anything is hashed, so that guessing costs us nothing; one transaction uses it up and sets the password.
pub async fn handle(app: App, req: Request) -> Reply {
    let (token, password) = http::json::<Body>(&req)?.parts()?;
    let token = LinkToken::parse(&token)?;
    let now = app.clock.seconds();

    let link = app.store.link(&token, Purpose::Reset, now).await?;
    let password = NewPassword::parse(&password, &[&link.name, &link.address]).map_err(|sentence| Error::field("password", sentence))?;
    let hash = app.passwords.hash(&password).await?;
    app.store.reset_password(&link, &hash, now).await?;
    if let Err(error) = app.store.forget_attempts(&link.user_id, &link.name, Some(&link.address)).await {
        tracing::warn!(user = link.user_id, cause = error.cause(), "failed log-ins could not be forgotten");
    }
    tracing::info!(user = link.user_id, "password reset");
    http::ok(&json!({ "message": "Password changed. Log in with it." }))
}

impl Body {
    fn parts(self) -> Result<(String, String)> {
        let mut invalid = FieldErrors::default();
        let token = invalid.check("token", required(self.token));
        let password = invalid.check("password", required(self.password.or(self.new_password)));
        token.zip(password).ok_or_else(|| invalid.into_error())
    }
}
