//! `POST /api/register` - create an account with a first grant of tokens and a session.
//!
//! Creates the account in one transaction.

use std::future::ready;

use serde::{Deserialize, Serialize};
use shared::app::IssuerApp;
use shared::auth::{self, PasswordOwner, SessionTokens};
use shared::error::{Failure, FieldErrors, REQUIRED};
use shared::http::{self, cookie};
use shared::openapi::{self, EmailOrNone, IdempotencyKey, KeptInCookie};
use shared::passwords::{NewPassword, Verdict};
use shared::store::{Attempt, NewAccount, Quota, RegisterOutcome, registered_from};
use shared::values::idempotency::{Kind, REMEMBERED};
use shared::values::{Account, DeviceToken, Email, Role, Session, Username};
use shared::view::{Balance, User, UserOfSession};
use shared::{Error, Reply, Request, Result};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Creates accounts").canary().hashes_passwords().throttled().permits(permits![
        READ_SIGNING_SECRET,
        allow(&[Scan, UpdateItem], Keys),
        put(Users(&["user:*", "email:*"])),
        put(Tokens(&["session:*", "outbox:*"])),
        update(Tokens(&["attempt:register:*", "attempt:address:*", "mailed:*"])),
        COUNT_LOG_INS,
        put(Ledger),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = Registration, examples(json!({ "username": "ann", "email": "ann@example.com", "password": "secret123" })))]
struct Body {
    /// A username with an `@` must be an e-mail address, and becomes the account's `email`.
    #[schema(value_type = Username)]
    username: Option<String>,
    /// The account's e-mail address. An empty or blank address counts as missing.
    #[schema(value_type = Option<EmailOrNone>)]
    email: Option<String>,
    #[schema(value_type = Option<NewPassword>)]
    password: Option<String>,
    /// An alias of `password`, for requests without it.
    password1: Option<String>,
    /// The password again. If `password2` is sent, it must equal the password.
    password2: Option<String>,
}

struct Registration {
    name: Username,
    email: Option<Email>,
    password: NewPassword,
}

/// Create an account
///
/// The account begins with a grant of tokens and a session. Of two registrations with the same
/// username exactly one succeeds. A retry with the same `Idempotency-Key` gets the tokens of a new
/// session.
#[utoipa::path(
    post,
    path = super::path::register,
    tag = "Accounts",
    params(IdempotencyKey, KeptInCookie, openapi::DeviceToken),
    request_body = Body,
    responses((status = 201, description = "The account is created, and a session has begun.", body = OpenedAccount)),
    extensions(
        ("x-form" = json!(true)),
        ("x-fails" = json!([
            Failure::UsernameTaken, Failure::EmailTaken, Failure::KeyReused,
            Failure::TooManyRegistrations, Failure::TooManyAttempts, Failure::TooManyMails
        ])),
        ("x-narrow" = json!({ "anyOf": [
            { "required": ["password"], "properties": { "password": { "type": "string" } } },
            { "required": ["password1"], "properties": {
                "password": { "type": "null" },
                "password1": { "$ref": "#/components/schemas/NewPassword" },
            } },
        ] })),
    ),
)]
pub async fn handle(app: IssuerApp, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let body: Body = http::fields(&req)?;
    let plain = body.password.clone().or_else(|| body.password1.clone()).unwrap_or_default();
    let Registration { name, email, password } = body.validate()?;
    let password = app.passwords.hash(&password).await?;

    let key = key.map(|key| key.id(Kind::Registration, name.key()));
    let new = NewAccount {
        name,
        email,
        password,
        key,
        role: Role::User,
        grant: app.accounts.first_grant,
        reason: "registration",
    };
    let mut account = new.open(&app.clock);
    let network = http::source_network(&req);
    account.home = network.as_deref().map(|network| registered_from(&account.id, network));
    let session = Session::new(&account, http::device(&req), &app.clock, app.config.session_life);
    let quota = Quota::of(network.as_deref(), &app.accounts, app.clock.seconds());
    match app.store.register(&new, &account, Some(&session), quota.as_ref()).await? {
        RegisterOutcome::New => {
            tracing::info!(user = account.id, session = session.id(), "registered");
            welcome(&app, &req, &account, &session).await
        }
        RegisterOutcome::Pending(account) => {
            tracing::info!(user = account.id, session = session.id(), "registered");
            welcome(&app, &req, &account, &session).await
        }
        RegisterOutcome::Taken(standing) => {
            answer_retry(&app, &req, &new, &standing, &plain).await.map(http::replayed)
        }
    }
}

/// A new account, its balance, and the tokens of its first session.
#[derive(Serialize, ToSchema)]
struct OpenedAccount<'a> {
    /// A human-readable sentence.
    #[schema(examples("User registered successfully."))]
    message: &'static str,
    /// The account.
    user: UserOfSession<'a>,
    /// The fields of `user` again, for clients that expect them outside `user`.
    #[serde(flatten)]
    same: User<'a>,
    /// The balance, which is the first grant of tokens.
    #[serde(flatten)]
    balance: Balance,
    /// The session.
    #[serde(flatten)]
    session: SessionTokens,
}

/// Replies to a registration with a username that is already taken. If the idempotency key and the
/// password match the account, the request is a retry of the account's registration. A wrong
/// password counts as a guess, as in a log-in.
async fn answer_retry(
    app: &IssuerApp,
    req: &Request,
    new: &NewAccount,
    standing: &Account,
    password: &str,
) -> Reply {
    let now = app.clock.seconds();
    let same_key = new.key.is_some() && new.key == standing.key;
    if !same_key || now >= standing.created / 1000 + REMEMBERED {
        return Err(Error::UsernameTaken);
    }
    let network = http::source_network(req);
    let counted = Attempt::new(new.name.key(), network.as_deref(), &app.accounts, now);
    let device = DeviceToken::from_request(app, req);
    let owner = ready(Ok(PasswordOwner::Account(standing.clone().into())));
    let checked = auth::attempt(app, counted, device, owner, password).await?;
    if checked.verdict == Verdict::Wrong {
        return Err(checked.refused(Error::UsernameTaken));
    }
    checked.pass(app).await?;
    let given = standing.email.as_deref().or(standing.pending_email.as_deref());
    if new.email.as_ref().map(Email::shown) != given {
        return Err(Error::KeyReused);
    }
    let session = auth::begin_session(app, req, standing).await?;
    welcome(app, req, standing, &session).await
}

async fn welcome(app: &IssuerApp, req: &Request, account: &Account, session: &Session) -> Reply {
    let (tokens, kept) = auth::issue(app, req, account, session).await?;
    let reply = http::created(&OpenedAccount {
        message: "User registered successfully.",
        user: UserOfSession::of(account, account.granted),
        same: User::of(account),
        balance: Balance::of(account.granted),
        session: tokens,
    })?;
    Ok(cookie::set(reply, kept))
}

impl Body {
    /// Validates the body. An error lists every invalid field.
    fn validate(self) -> Result<Registration> {
        let mut invalid = FieldErrors::default();
        let username = self.username.unwrap_or_default();
        let email = self.email.filter(|email| !email.trim().is_empty());
        let (field, password) = match (self.password, self.password1) {
            (None, Some(password1)) => ("password1", Some(password1)),
            (password, _) => ("password", password),
        };

        let named = named(&mut invalid, &username, email.as_deref());
        let repeated = self.password2.is_none_or(|password2| password.as_ref() == Some(&password2));
        if !repeated {
            invalid.note("password2", "The two passwords are different.");
        }
        let own = [username.as_str(), email.as_deref().unwrap_or(&username)];
        let password = invalid.check(
            field,
            password
                .ok_or_else(|| REQUIRED.into())
                .and_then(|password| NewPassword::parse(&password, &own)),
        );
        match (named, password) {
            (Some((name, email)), Some(password)) if repeated => {
                Ok(Registration { name, email, password })
            }
            _ => Err(invalid.into_error()),
        }
    }
}

/// Validates a new account's username and address. `email` must not be blank. If a field is
/// invalid, adds the reason to `invalid` and returns `None`.
pub(crate) fn named(
    invalid: &mut FieldErrors,
    username: &str,
    email: Option<&str>,
) -> Option<(Username, Option<Email>)> {
    let name = if username.is_empty() { Err(REQUIRED.into()) } else { Username::choose(username) };
    let name = invalid.check("username", name);
    let address = email.and_then(|email| invalid.check("email", Email::choose(email)));
    let named = name.as_ref().and_then(Username::address);
    let differ = address
        .as_ref()
        .zip(named.as_ref())
        .is_some_and(|(address, named)| address.key() != named.key());
    if differ {
        invalid.note(
            "username",
            "A username with an @ is the account's e-mail address: send the same address as email, \
             or leave email out.",
        );
    }
    let is_whole = !differ && email.is_some() == address.is_some();
    name.filter(|_| is_whole).map(|name| (name, address.or(named)))
}
