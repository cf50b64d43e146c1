//! `POST /api/login`, `POST /api/token` - trade a name or an e-mail address and a password for the tokens of a new session.
//!
//! In: `{username, password}`, where `username` may be an address; `email` stands for `username`.
//! Out: `token`, `access`, `refresh` and the balance.

use serde::Deserialize;
use serde_json::json;
use shared::auth::password::Verdict;
use shared::error::FieldErrors;
use shared::store::Session;
use shared::user::{Account, balance_fields, login_key};
use shared::{App, Error, Reply, Request, Result, auth, http};

#[derive(Deserialize)]
struct Body {
    username: Option<String>,
    email: Option<String>,
    password: Option<String>,
}

/// An unknown user, a wrong password and a deactivated user are one failure, and take the same time.
pub async fn handle(app: App, req: Request) -> Reply {
    let (login, password) = http::json::<Body>(&req)?.credentials()?;
    let found = match login_key(&login) {
        Some(key) => app.store.find(&key).await?,
        None => None,
    };
    let verdict = app.passwords.check(&password, found.as_ref().map(|account| account.password.clone())).await?;
    if found.as_ref().is_none_or(|account| !account.active) || verdict == Verdict::Wrong {
        tracing::info!(user = found.map(|account| account.id), "log-in refused");
        return Err(Error::InvalidCredentials);
    }
    let account = found.ok_or(Error::InvalidCredentials)?;

    let session = Session::new(&account, http::device(&req), &app.clock, app.config.session_life);
    let (started, ()) = tokio::join!(app.store.start_session(&session), strengthen(&app, &account, &verdict));
    started?;
    tracing::info!(user = account.id, session = session.id(), "logged in");

    http::ok(&http::merge([
        json!({ "message": "Login successful.", "user": account.data() }),
        balance_fields(account.balance(app.clock.seconds())),
        auth::issue(&app, &account, &session).await?,
    ]))
}

/// Puts a stronger hash in the place of a weak one. Where that fails the next log-in does it: nobody is kept out for it.
async fn strengthen(app: &App, account: &Account, verdict: &Verdict) {
    if let Verdict::Rehash(strong) = verdict
        && let Err(error) = app.store.strengthen(account, strong).await
    {
        tracing::warn!(user = account.id, cause = error.cause(), "a weak hash could not be replaced");
    }
}

impl Body {
    fn credentials(self) -> Result<(String, String)> {
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        match (given(self.username).or(given(self.email)), given(self.password)) {
            (Some(login), Some(password)) => Ok((login, password)),
            (login, password) => {
                let mut invalid = FieldErrors::default();
                for (field, value) in [("username", login), ("password", password)] {
                    if value.is_none() {
                        invalid.note(field, "This field is required.");
                    }
                }
                Err(invalid.into_error())
            }
        }
    }
}
