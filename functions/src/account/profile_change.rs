//! `PATCH /api/user/profile` - change the caller's names, e-mail address and AI instructions.
//!
//! A new address requires the current password, so that an attacker with a stolen access token
//! can't set an address and then reset the password.

use super::profile::Profile;
use serde::Deserialize;
use shared::app::PasswordApp;
use shared::error::{Failure, FieldErrors};
use shared::openapi::EmailOrNone;
use shared::values::{Email, GivenName, Instructions, ProfileChange};
use shared::{Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Changes names, addresses and instructions")
    .hashes_passwords()
    .throttled()
    .permits(permits![
        VERIFY_TOKENS,
        update(Users(&["user:*"])),
        allow(&[PutItem, DeleteItem], Users(&["email:*"])),
        allow(&[GetItem, PutItem, DeleteItem], Tokens(&["instructions:*"])),
        put(Tokens(&["outbox:*", "mailed:*"])),
        update(Tokens(&["mailed:*", "attempt:address:*"])),
        COUNT_PASSWORD_CHECKS,
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = ProfileChange, examples(json!({ "first_name": "Ann", "last_name": "Smith" })))]
struct Body {
    #[schema(value_type = Option<GivenName>)]
    first_name: Option<String>,
    #[schema(value_type = Option<GivenName>)]
    last_name: Option<String>,
    /// The new e-mail address. An empty or blank address changes nothing.
    #[schema(value_type = Option<EmailOrNone>)]
    email: Option<String>,
    /// The instructions that the AI gets with all later messages, in every conversation. The
    /// instructions don't apply to messages from OpenAI's clients, which send their own
    /// instructions.
    #[schema(value_type = Option<Instructions>)]
    instructions: Option<String>,
    /// The caller's password. Required to change `email`.
    current_password: Option<String>,
}

/// Change the profile
///
/// Missing fields don't change. An empty text removes a name or the instructions. A new e-mail
/// address also needs `current_password`, and gets an e-mail with a link that verifies it.
#[utoipa::path(
    patch,
    path = super::path::profile_change,
    tag = "Accounts",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The profile after the change.", body = Profile)),
    extensions(("x-fails" = json!([
        Failure::EmailTaken, Failure::WrongPassword, Failure::TooManyAttempts,
        Failure::TooManyConfirmations, Failure::TooManyMails
    ]))),
)]
pub async fn handle(app: PasswordApp, req: Request) -> Reply {
    let body: Body = http::json(&req)?;
    let caller = auth::caller_of_old_client(&app, &req).await?;
    let change = body.validate()?;
    let account = app.store.account_of(&caller).await?;
    if change.address_for(&account).is_some() {
        let password = body.current_password.as_deref().filter(|password| !password.is_empty());
        let password = password.ok_or_else(|| {
            Error::field("current_password", "Send the current password to change the address.")
        })?;
        auth::confirm(&app, &app.accounts, &req, &caller, &account, password).await?;
    }

    let account = app.store.change_profile(&caller, account, &change, app.clock.seconds()).await?;
    tracing::info!(user = account.id, address = change.email.is_some(), "profile changed");
    let instructions = match &change.instructions {
        Some(written) => written.text().unwrap_or_default().to_owned(),
        None => app.store.instructions_of(&account).await?,
    };
    http::ok(&Profile::of(&app, &account, &instructions))
}

impl Body {
    fn validate(&self) -> Result<ProfileChange> {
        let mut invalid = FieldErrors::default();
        let email = self.email.as_deref().filter(|email| !email.trim().is_empty());
        let first_name = self
            .first_name
            .as_deref()
            .map(|name| invalid.check("first_name", GivenName::parse(name)));
        let last_name = self
            .last_name
            .as_deref()
            .map(|name| invalid.check("last_name", GivenName::parse(name)));
        let email = email.map(|email| invalid.check("email", Email::choose(email)));
        let instructions = self
            .instructions
            .as_deref()
            .map(|text| invalid.check("instructions", Instructions::parse(text)));
        if invalid != FieldErrors::default() {
            return Err(invalid.into_error());
        }
        Ok(ProfileChange {
            first_name: first_name.flatten(),
            last_name: last_name.flatten(),
            email: email.flatten(),
            instructions: instructions.flatten(),
        })
    }
}
