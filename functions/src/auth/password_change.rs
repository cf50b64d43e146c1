//! `POST /api/user/password` - change the caller's password.
//!
//! Changes the password in one transaction. The transaction sets the password, ends all sessions by
//! incrementing the epoch, and begins a new session.

use serde::{Deserialize, Serialize};
use shared::app::IssuerApp;
use shared::auth::{self, SessionTokens};
use shared::error::{Failure, FieldErrors, required};
use shared::http::{self, cookie};
use shared::openapi::{self, Given, KeptInCookie};
use shared::passwords::NewPassword;
use shared::values::{Account, Session};
use shared::{Error, Reply, Request, Result};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Changes passwords").hashes_passwords().throttled().permits(permits![
        READ_SIGNING_SECRET,
        VERIFY_TOKENS,
        update(Keys),
        update(Users(&["user:*"])),
        put(Tokens(&["session:*"])),
        COUNT_PASSWORD_CHECKS,
        COUNT_FAILURES,
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordChange, examples(json!({ "current_password": "secret123", "new_password": "secret456" })))]
struct Body {
    #[schema(value_type = Given, examples("secret123"))]
    current_password: Option<String>,
    #[schema(value_type = NewPassword)]
    new_password: Option<String>,
}

/// Change the password
///
/// Every other session ends; the reply begins a new one.
#[utoipa::path(
    post,
    path = super::path::password_change,
    tag = "Accounts",
    security(("access_token" = [])),
    params(KeptInCookie, openapi::DeviceToken),
    request_body = Body,
    responses((status = 200, description = "The password is changed, and a new session has begun.", body = PasswordChanged)),
    extensions(("x-fails" = json!([Failure::WrongPassword, Failure::TooManyAttempts, Failure::TooManyConfirmations]))),
)]
pub async fn handle(app: IssuerApp, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let (current, new) = body.parts()?;
    let account = app.store.account_of(&caller).await?;
    let own = [account.name.as_str(), account.email.as_deref().unwrap_or(&account.name)];
    let new = NewPassword::parse(&new, &own)
        .map_err(|sentence| Error::field("new_password", sentence))?;
    auth::confirm(&app, &app.accounts, &req, &caller, &account, &current).await?;
    let hash = app.passwords.hash(&new).await?;

    let changed = Account { auth_epoch: account.auth_epoch + 1, ..account.clone() };
    let session = Session::new(&changed, http::device(&req), &app.clock, app.config.session_life);
    app.store.change_password(&caller, &account, &hash, &session).await?;
    tracing::info!(user = account.id, session = session.id(), "password changed");
    let (tokens, kept) = auth::issue(&app, &req, &changed, &session).await?;
    let reply = http::ok(&PasswordChanged { message: "Password changed.", session: tokens })?;
    Ok(cookie::set(reply, kept))
}

/// The tokens of the new session.
#[derive(Serialize, ToSchema)]
struct PasswordChanged {
    /// A human-readable sentence.
    #[schema(examples("Password changed."))]
    message: &'static str,
    /// The session.
    #[serde(flatten)]
    session: SessionTokens,
}

impl Body {
    fn parts(self) -> Result<(String, String)> {
        let mut invalid = FieldErrors::default();
        let current = invalid.check("current_password", required(self.current_password));
        let new = invalid.check("new_password", required(self.new_password));
        current.zip(new).ok_or_else(|| invalid.into_error())
    }
}
