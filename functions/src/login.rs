//! `POST /api/login`, `POST /api/token` - trade a name or an e-mail address and a password for the tokens of a new session.
//!
//! In: `{username, password}`, where `username` may be an address; `email` stands for `username`.
//! Out: `token`, `access`, `refresh` and the balance.

use serde::Deserialize;
use serde_json::{Value, json};
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
    let account = found.filter(|account| account.active && verdict != Verdict::Wrong).ok_or(Error::InvalidCredentials)?;

    let session = Session::new(&account, app.clock.seconds() + app.config.session_life.as_secs());
    tokio::try_join!(app.store.start_session(&session), strengthen(&app, &account, &verdict))?;
    tracing::info!(user = account.id, session = session.id(), "logged in");

    http::ok(&http::merge([
        json!({ "message": "Login successful.", "user": account.data() }),
        balance_fields(account.balance(app.clock.seconds())),
        auth::issue(&app, &account, &session).await?,
    ]))
}

async fn strengthen(app: &App, account: &Account, verdict: &Verdict) -> Result<()> {
    match verdict {
        Verdict::Rehash(strong) => app.store.strengthen(account, strong).await,
        Verdict::Right | Verdict::Wrong => Ok(()),
    }
}

impl Body {
    fn credentials(self) -> Result<(String, String)> {
        let mut invalid = FieldErrors::default();
        let given = |field: Option<String>| field.filter(|text| !text.is_empty());
        match (given(self.username).or(given(self.email)), given(self.password)) {
            (Some(login), Some(password)) => Ok((login, password)),
            (login, password) => {
                for (field, value) in [("username", login), ("password", password)] {
                    if value.is_none() {
                        invalid.check::<Value>(field, Err("This field is required.".into()));
                    }
                }
                Err(invalid.into_error())
            }
        }
    }
}
