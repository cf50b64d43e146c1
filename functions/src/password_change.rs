//! `POST /api/user/password` - change one's own password.
//!
//! In: `{current_password, new_password}`. Out: `token`, `access` and `refresh` of a new session; every other one has ended.

use serde::Deserialize;
use serde_json::json;
use shared::auth::NewPassword;
use shared::error::{FieldErrors, required};
use shared::store::Session;
use shared::user::Account;
use shared::{App, Error, Reply, Request, Result, auth, http};

#[derive(Deserialize)]
struct Body {
    current_password: Option<String>,
    new_password: Option<String>,
}

/// Ends all sessions by raising the epoch, in the transaction that sets the password and begins the one session that goes on.
pub async fn handle(app: App, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let caller = auth::caller(&app, &req).await?;
    let (current, new) = body.parts()?;
    let account = app.store.account(&caller).await?;
    let own = [account.name.as_str(), account.email.as_deref().unwrap_or(&account.name)];
    let new = NewPassword::parse(&new, &own).map_err(|sentence| Error::field("new_password", sentence))?;
    auth::confirm(&app, &req, &account, &current).await?;
    let hash = app.passwords.hash(&new).await?;

    let changed = Account { auth_epoch: account.auth_epoch + 1, ..account.clone() };
    let session = Session::new(&changed, http::device(&req), &app.clock, app.config.session_life);
    app.store.change_password(&caller, &account, &hash, &session).await?;
    tracing::info!(user = account.id, session = session.id(), "password changed");
    http::ok(&http::merge([json!({ "message": "Password changed." }), auth::issue(&app, &changed, &session).await?]))
}

impl Body {
    fn parts(self) -> Result<(String, String)> {
        let mut invalid = FieldErrors::default();
        let current = invalid.check("current_password", required(self.current_password));
        let new = invalid.check("new_password", required(self.new_password));
        current.zip(new).ok_or_else(|| invalid.into_error())
    }
}
