//! `POST /api/user/email/verify` - verify an e-mail address with the token that was sent to it.
//!
//! Verifies the address in one transaction. The transaction invalidates the link, and removes the
//! address from any other account that hasn't verified it. An attacker who knows the account's
//! password may have registered it with this address. Therefore a first verification also
//! invalidates the account's other sessions, its API keys and its links, and a caller who isn't
//! logged in must set a new password.

use serde::{Deserialize, Serialize};
use shared::error::{Failure, required};
use shared::openapi::Given;
use shared::passwords::NewPassword;
use shared::store::{Purpose, Verifier};
use shared::values::LinkToken;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Verifies addresses").hashes_passwords().throttled().permits(permits![
        scan(Keys),
        get(Users(&["user:*", "email:*"])),
        update(Users(&["user:*"])),
        allow(&[PutItem, DeleteItem], Users(&["email:*"])),
        get(Tokens(&["link:*"])),
        update(Tokens(&["link:*", "session:*"])),
        query(TokensByUser),
        delete(Tokens(&["apikey:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = LinkUsed, examples(json!({ "token": "0l2k1pOQvLJ7DRxPAjZ2eWd9S0Xn8ZrJ3yT1mC5uHbE" })))]
struct Body {
    /// The token in the e-mail: 43 characters.
    #[schema(value_type = Given, examples("0l2k1pOQvLJ7DRxPAjZ2eWd9S0Xn8ZrJ3yT1mC5uHbE"))]
    token: Option<String>,
    /// A new password for the account. The password is required for the first verification of the
    /// account's address, unless the request contains the account's access token.
    #[schema(value_type = Option<NewPassword>)]
    password: Option<String>,
}

/// Verify an e-mail address
///
/// The token in the e-mail works once. An account that claimed the address without verifying it
/// loses the address. The first verification of an address takes an access token of the account,
/// whose session continues, or a new `password`. It invalidates every other session, and every API
/// key and e-mailed link of the account.
#[utoipa::path(
    post,
    path = super::path::email_verify,
    tag = "Accounts",
    security((), ("access_token" = [])),
    request_body = Body,
    responses((status = 200, description = "The address is verified.", body = VerifiedEmail)),
    extensions(("x-fails" = json!([Failure::InvalidLink, Failure::PasswordRequired, Failure::InvalidToken, Failure::EmailTaken]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { token, password } = http::json(&req)?;
    let token = required(token).map_err(|sentence| Error::field("token", sentence))?;
    let token = LinkToken::parse(&token).ok_or(Error::InvalidLink)?;
    let now = app.clock.seconds();

    // A caller who sets a new password doesn't have to be logged in. The new password ends all
    // existing sessions.
    let caller = match password {
        Some(_) => None,
        None => auth::caller_or_visitor(&app, &req).await?,
    };
    let link = app.store.link(&token, Purpose::Verify, now).await?;
    let hash = match &password {
        Some(password) => {
            let password = NewPassword::parse(password, &[&link.name, &link.address])
                .map_err(|sentence| Error::field("password", sentence))?;
            Some(app.passwords.hash(&password).await?)
        }
        None => None,
    };
    let caller = caller.filter(|caller| caller.user_id == link.user_id);
    let verifier = match (&hash, &caller) {
        (Some(hash), _) => Verifier::NewPassword(hash),
        (None, Some(caller)) => Verifier::Session(caller),
        (None, None) => Verifier::Reader,
    };
    let account = app.store.verify_address(&link, verifier, now).await?;
    tracing::info!(user = account.id, "address verified");
    let is_first = account.auth_epoch > link.auth_epoch;
    http::ok(&VerifiedEmail {
        message: match verifier {
            Verifier::Session(_) if is_first => {
                "E-mail address verified. Every other session has ended. Refresh the access token of this session."
            }
            Verifier::NewPassword(_) if is_first => {
                "E-mail address verified, and the password is changed. Log in with it."
            }
            _ => "E-mail address verified.",
        },
        email: account.email.as_deref(),
        email_verified: true,
    })
}

/// A verified address.
#[derive(Serialize, ToSchema)]
#[schema(as = Verified)]
struct VerifiedEmail<'a> {
    /// A human-readable sentence.
    #[schema(examples("E-mail address verified."))]
    message: &'static str,
    /// The verified address.
    #[schema(required, nullable = false, examples("ann@example.com"))]
    email: Option<&'a str>,
    /// Always true.
    #[schema(examples(true))]
    email_verified: bool,
}
