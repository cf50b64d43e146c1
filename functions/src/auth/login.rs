//! `POST /api/login`, `POST /api/token` - exchange a username (or an e-mail address) and a password
//! for the tokens of a new session.
//!
//! Unknown users, wrong passwords and deactivated users all result in the same error after the same
//! time. After too many failures the password is no longer checked, whether or not the account
//! exists.

use serde::{Deserialize, Serialize};
use shared::app::LoginApp;
use shared::auth::{self, CheckedAttempt, PasswordOwner, SessionTokens};
use shared::error::{Failure, FieldErrors, required};
use shared::http::{self, cookie};
use shared::openapi::{self, Given, KeptInCookie};
use shared::passwords::Verdict;
use shared::store::Attempt;
use shared::telemetry::metrics::{self, Metric};
use shared::values::{Account, DeviceToken, login_key};
use shared::view::{Balance, UserOfSession};
use shared::{App, Error, Reply, Request, Result};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Logs users in").canary().hashes_passwords().throttled().permits(permits![
        READ_SIGNING_SECRET,
        VERIFY_TOKENS,
        update(Keys),
        get(Users(&["email:*"])),
        update(Users(&["user:*"])),
        put(Tokens(&["session:*"])),
        get(Tokens(&["imports:*"])),
        COUNT_LOG_INS,
        COUNT_FAILURES,
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = LogIn, examples(json!({ "username": "ann", "password": "secret123" })))]
struct Body {
    /// A username or an e-mail address.
    #[schema(examples("ann"))]
    username: Option<String>,
    /// An alias of `username`, for requests without it.
    email: Option<String>,
    #[schema(value_type = Given, examples("secret123"))]
    password: Option<String>,
}

/// Log in
///
/// Exchanges a username or an e-mail address and a password for the tokens of a new session.
#[utoipa::path(
    post,
    path = super::path::login,
    tag = "Sessions",
    params(KeptInCookie, openapi::DeviceToken),
    request_body = Body,
    responses((status = 200, description = "A session has begun.", body = LoggedIn)),
    extensions(
        ("x-form" = json!(true)),
        ("x-fails" = json!([Failure::InvalidCredentials, Failure::TooManyAttempts])),
        ("x-narrow" = json!({ "anyOf": [
            { "required": ["username"], "properties": { "username": { "type": "string", "minLength": 1 } } },
            { "required": ["email"], "properties": { "email": { "type": "string", "minLength": 1 } } },
        ] })),
    ),
)]
pub async fn handle(app: LoginApp, req: Request) -> Reply {
    let (login, password) = http::fields::<Body>(&req)?.credentials()?;
    let (key, now) = (login_key(&login), app.clock.seconds());
    let network = http::source_network(&req);
    let login = key.as_deref().unwrap_or(&login);
    let counted = Attempt::new(login, network.as_deref(), &app.accounts, now);
    let device = DeviceToken::from_request(&app, &req);
    let owner = find(&app, key.as_deref(), login);
    let checked = auth::attempt(&app, counted, device, owner, &password).await?;
    let account = match &checked.account {
        Some(account) if account.active && checked.verdict != Verdict::Wrong => account,
        found => {
            tracing::info!(user = found.as_ref().map(|account| &account.id), "log-in refused");
            return Err(checked.refused(Error::InvalidCredentials));
        }
    };

    let strong = match checked.verdict {
        // If too many other requests are hashing passwords, the next log-in tries again.
        Verdict::Outdated => app.passwords.hash_again(&password).await.ok(),
        Verdict::Right | Verdict::Wrong => None,
    };
    let (session, (), ()) = tokio::join!(
        auth::begin_session(&app, &req, account),
        pass(&app, account, &checked),
        strengthen(&app, account, strong.as_deref())
    );
    let session = session?;
    tracing::info!(user = account.id, session = session.id(), "logged in");
    metrics::record(&[(Metric::LogIns, 1)]);

    let (tokens, kept) = auth::issue(&app, &req, account, &session).await?;
    let balance = account.balance(app.clock.seconds());
    let reply = http::ok(&LoggedIn {
        message: "Login successful.",
        user: UserOfSession::of(account, balance),
        username: &account.name,
        balance: Balance::of(balance),
        session: tokens,
    })?;
    Ok(cookie::set(reply, kept))
}

/// An account, its balance, and the tokens of a new session.
#[derive(Serialize, ToSchema)]
struct LoggedIn<'a> {
    /// A human-readable sentence.
    #[schema(examples("Login successful."))]
    message: &'static str,
    /// The account.
    user: UserOfSession<'a>,
    /// The username again, for clients that expect it outside `user`.
    #[schema(examples("ann"))]
    username: &'a str,
    /// The balance.
    #[serde(flatten)]
    balance: Balance,
    /// The session.
    #[serde(flatten)]
    session: SessionTokens,
}

/// Finds the account. Also rereads the cached record of imports, in parallel, if it is older than a
/// minute.
async fn find(app: &App, key: Option<&str>, login: &str) -> Result<PasswordOwner> {
    let account = async {
        match key {
            Some(key) => Ok(app.store.account_with_login(key).await?),
            None => Ok(None),
        }
    };
    let (account, imports) = tokio::try_join!(account, app.imports.current())?;
    Ok(match account {
        Some(account) => PasswordOwner::Account(account.into()),
        None => {
            let decoy = imports.as_ref().and_then(|imports| imports.decoy(login));
            PasswordOwner::Unknown { decoy: decoy.map(str::to_owned) }
        }
    })
}

/// Records that this attempt's password was correct. If the record can't be written, the attempt
/// counts as a failure, but the log-in still succeeds.
async fn pass(app: &App, account: &Account, checked: &CheckedAttempt) {
    if let Err(error) = checked.pass(app).await {
        tracing::warn!(
            user = account.id,
            cause = error.cause(),
            "a log-in is still counted as a guess"
        );
    }
}

/// Replaces a weak password hash with a stronger one. If the replacement fails, the log-in still
/// succeeds, and the next log-in tries again.
async fn strengthen(app: &App, account: &Account, strong: Option<&str>) {
    if let Some(strong) = strong
        && let Err(error) = app.store.strengthen_password(account, strong).await
    {
        tracing::warn!(
            user = account.id,
            cause = error.cause(),
            "a weak hash could not be replaced"
        );
    }
}

impl Body {
    fn credentials(self) -> Result<(String, String)> {
        let mut invalid = FieldErrors::default();
        let login =
            invalid.check("username", required(self.username).or_else(|_| required(self.email)));
        let password = invalid.check("password", required(self.password));
        login.zip(password).ok_or_else(|| invalid.into_error())
    }
}
