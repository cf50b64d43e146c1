//! `POST /api/password/reset` - request an e-mail that lets the user replace a forgotten password.
//!
//! Stores the request without looking up the address; the `mail` function looks it up later.

use serde::Deserialize;
use shared::error::required;
use shared::values::Email;
use shared::view::Done;
use shared::{App, Error, Reply, Request, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Requests e-mails that reset passwords").throttled().permits(permits![
        scan(Keys),
        put(Tokens(&["outbox:*", "mailed:*"])),
        update(Tokens(&["mailed:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordReset)]
struct Body {
    #[schema(value_type = Email)]
    email: Option<String>,
}

/// Request a password reset
///
/// Sends an e-mail with a link to the address. The reply is the same whether or not an account has
/// the address. At most one e-mail a minute, five an hour and ten a day are sent to an address;
/// further requests get the same reply.
#[utoipa::path(
    post,
    path = super::path::password_reset,
    tag = "Accounts",
    request_body = Body,
    responses((status = 202, description = "If an account has the address, an e-mail is on its way.", body = Done)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { email } = http::json(&req)?;
    let email = required(email.filter(|text| !text.trim().is_empty()));
    let address = email
        .and_then(|email| Email::choose(&email))
        .map_err(|sentence| Error::field("email", sentence))?;

    app.store.post_reset(&address, app.clock.seconds()).await?;
    http::accepted(&Done { message: "If an account has this address, an e-mail is on its way." })
}
