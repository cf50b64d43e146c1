//! `POST /api/admin/users` - create a user, or invite one by e-mail. For administrators.
//!
//! Creates the account in one transaction, which also checks that the caller is still an
//! administrator. A retry with the same `Idempotency-Key` gets 201 again.

use serde::Deserialize;
use serde_json::json;
use shared::app::PasswordApp;
use shared::error::{Failure, FieldErrors};
use shared::openapi::{EmailOrNone, IdempotencyKey, ReasonOrNone};
use shared::passwords::{self, NewPassword};
use shared::store::{ListedAccount, NewAccount, PlannedIntervention, RegisterOutcome};
use shared::values::idempotency::{Key, Kind, REMEMBERED};
use shared::values::{Account, Email, Intervention, Reason, Role, Username, whole};
use shared::view::ListedUser;
use shared::{Credits, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::auth::register;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators create and invite users").throttled().permits(permits![
        VERIFY_TOKENS,
        put(Users(&["user:*", "email:*"])),
        check(Users(&["user:*"])),
        put(Ledger),
        update(Users(&["admins"])),
        put(Tokens(&["outbox:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = UserCreation, examples(json!({
    "username": "joe", "email": "joe@example.com", "password": "secret123",
    "reason": "a new colleague",
})))]
struct Body {
    /// A username with an `@` must be an e-mail address, and becomes the account's `email`.
    #[schema(value_type = Username)]
    username: Option<String>,
    /// The account's e-mail address. An empty or blank address counts as missing. No e-mail is sent
    /// to the address, except an invitation.
    #[schema(value_type = Option<EmailOrNone>)]
    email: Option<String>,
    /// The account's role; by default `user`.
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
    /// The balance that the account starts with. The default is the balance of a newly registered
    /// account.
    #[schema(value_type = Option<Credits>)]
    tokens: Option<f64>,
    /// The account's password. Optional for an account with an e-mail address, because the user can
    /// set a password by e-mail.
    #[schema(value_type = Option<NewPassword>)]
    password: Option<String>,
    /// Whether to send the address a link for setting the password. The link is valid for a week.
    #[schema(examples(false))]
    invite: Option<bool>,
    #[schema(value_type = Option<ReasonOrNone>)]
    reason: Option<String>,
}

/// A validated request.
struct Creation {
    name: Username,
    email: Option<Email>,
    role: Role,
    grant: Credits,
    password: Option<NewPassword>,
    invites: bool,
    reason: Option<Reason>,
}

/// Create or invite a user
///
/// The account begins with a grant of tokens and no session. Its password is sent here, or chosen
/// by its user with the link of an invitation, which is valid for a week, or of a forgotten
/// password. The audit log lists it.
#[utoipa::path(
    post,
    path = super::path::admin_user_create,
    tag = "Administration",
    security(("access_token" = [])),
    params(IdempotencyKey),
    request_body = Body,
    responses((status = 201, description = "The user.", body = ListedUser)),
    extensions(
        ("x-fails" = json!([Failure::UsernameTaken, Failure::EmailTaken])),
        ("x-gives" = json!({ "/api/admin/users/{id}": "/id" })),
        ("x-narrow" = json!({ "anyOf": [
            { "required": ["password"], "properties": { "password": { "type": "string" }, "invite": { "not": { "const": true } } } },
            { "required": ["email"], "properties": { "email": { "$ref": "#/components/schemas/Email" }, "password": { "type": "null" } } },
        ] })),
    ),
)]
pub async fn handle(app: PasswordApp, req: Request) -> Reply {
    let key = http::idempotency_key(&req)?;
    let body: Body = http::json(&req)?;
    let (administrator, ()) = auth::administrator(&app, &req, async { Ok(()) }).await?;
    let creation = body.validate(app.accounts.first_grant)?;

    let by = &administrator.account().id;
    let key = key.map(|key| creation.key(&key, by));
    let what = if creation.invites { Intervention::Invitation } else { Intervention::Creation };
    let password = match &creation.password {
        Some(password) => app.passwords.hash(password).await?,
        None => passwords::none()?,
    };
    let Creation { name, email, role, grant, reason, .. } = creation;
    let cause = "created by an administrator";
    let new = NewAccount { name, email, password, key, role, grant, reason: cause };
    let account = new.open(&app.clock);
    let doing =
        PlannedIntervention::new(&administrator, &account, what.clone(), reason, &app.clock)?;
    match app.store.create_account(&doing, &new).await? {
        RegisterOutcome::New | RegisterOutcome::Pending(_) => {
            tracing::info!(
                subject = account.id,
                by,
                what = what.word(),
                role = account.role.word(),
                granted = account.granted.signed(),
                "a user was created"
            );
            created(&account)
        }
        RegisterOutcome::Taken(standing) => {
            let is_recent = app.clock.seconds() < standing.created / 1000 + REMEMBERED;
            if is_recent && new.key.is_some() && new.key == standing.key {
                created(&standing).map(http::replayed)
            } else {
                Err(Error::UsernameTaken)
            }
        }
    }
}

fn created(account: &Account) -> Reply {
    http::created(&ListedUser::of(&ListedAccount::from_account(account)))
}

impl Creation {
    /// Returns the id under which the request's idempotency key is remembered. Requests with the
    /// same key but different content get different ids.
    fn key(&self, key: &Key, administrator: &str) -> String {
        let email = self.email.as_ref().map(Email::shown);
        let asked = json!([
            administrator,
            self.name.key(),
            email,
            self.role.word(),
            self.grant.get(),
            self.invites
        ]);
        key.id(Kind::Creation, &asked.to_string())
    }
}

impl Body {
    /// Validates the body. An error lists every invalid field.
    fn validate(self, first_grant: Credits) -> Result<Creation> {
        let mut invalid = FieldErrors::default();
        let username = self.username.unwrap_or_default();
        let email = self.email.filter(|email| !email.trim().is_empty());
        let own = [username.as_str(), email.as_deref().unwrap_or(&username)];
        let named = register::named(&mut invalid, &username, email.as_deref());
        let role = match self.role {
            Some(role) => invalid.check("role", Role::parse(&role)),
            None => Some(Role::User),
        };
        let bounds = || format!("This must be a whole number from 0 to {}.", Credits::MAX);
        let grant = match self.tokens {
            Some(amount) => invalid.check("tokens", credits(amount).ok_or_else(bounds)),
            None => Some(first_grant),
        };
        let has_password = self.password.is_some();
        let password = self
            .password
            .and_then(|password| invalid.check("password", NewPassword::parse(&password, &own)));
        let reason = self
            .reason
            .filter(|reason| !reason.trim().is_empty())
            .and_then(|reason| invalid.check("reason", Reason::parse(&reason)));

        let invites = self.invite.unwrap_or_default();
        // An invalid address counts as an address here, because it has already been reported as an
        // error.
        let has_address = email.is_some();
        if invites && !has_address {
            invalid.note("email", "An invitation needs an e-mail address.");
        }
        if invites && has_password {
            invalid.note("password", "Leave the password out: invited users choose it themselves.");
        }
        if !invites && !has_address && !has_password {
            invalid.note("password", "An account without an e-mail address needs a password.");
        }
        match (named, role, grant) {
            (Some((name, email)), Some(role), Some(grant)) if invalid.is_empty() => {
                Ok(Creation { name, email, role, grant, password, invites, reason })
            }
            _ => Err(invalid.into_error()),
        }
    }
}

/// Reads a number of credits from a JSON number. Accepts whole numbers that are written with a zero
/// fraction, such as `5.0`.
fn credits(amount: f64) -> Option<Credits> {
    whole(amount).and_then(Credits::new)
}
