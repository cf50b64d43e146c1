//! `POST /api/password/reset` - ask for a mail that lets a forgotten password be replaced.
//!
//! In: `{email}`. Out: 202, the same whether or not an account has the address.

use serde::Deserialize;
use shared::error::required;
use shared::user::Email;
use shared::view::Done;
use shared::{App, Error, Reply, Request, http};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordReset)]
struct Body {
    #[schema(value_type = Email)]
    email: Option<String>,
}

/// Writes what was asked for, and looks nothing up: whether somebody has the address, the function
/// `mail` finds out. At most one mail a minute per address, without a word about it.
#[utoipa::path(
    post,
    path = "/api/password/reset",
    tag = "Accounts",
    summary = "Ask for a mail that replaces a forgotten password",
    description = "The reply is the same whether or not an account has the address. At most one mail a minute goes to an address, without a word about it.",
    request_body = Body,
    responses((status = 202, description = "If an account has the address, a mail is on its way.", body = Done)),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let Body { email } = http::json(&req)?;
    let email = required(email.filter(|text| !text.trim().is_empty()));
    let address = email
        .and_then(|email| Email::choose(&email))
        .map_err(|sentence| Error::field("email", sentence))?;

    app.store.post_reset(&address, app.clock.seconds()).await?;
    http::accepted(&Done { message: "If an account has this address, a mail is on its way." })
}
