//! `POST /api/password/reset/confirm` - set a new password with the token from an e-mail.
//!
//! The link is looked up before the password is hashed, so that rejecting a guessed token is cheap.
//! One transaction invalidates the link, sets the password, and ends all sessions. If the address
//! wasn't verified before, the transaction also invalidates the API keys.

use serde::Deserialize;
use shared::clock::in_words;
use shared::error::{Failure, FieldErrors, required};
use shared::http::{self, cookie};
use shared::openapi::Given;
use shared::passwords::NewPassword;
use shared::store::Purpose;
use shared::values::LinkToken;
use shared::view::Done;
use shared::{App, Error, Reply, Request, Result};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Resets passwords").hashes_passwords().throttled().permits(permits![
        scan(Keys),
        update(Users(&["user:*", "email:*"])),
        allow(&[GetItem, UpdateItem], Tokens(&["link:*"])),
        query(TokensByUser),
        delete(Tokens(&["attempt:login:*", "apikey:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = PasswordResetConfirmation, examples(json!({
    "token": "0l2k1pOQvLJ7DRxPAjZ2eWd9S0Xn8ZrJ3yT1mC5uHbE", "password": "secret789",
})))]
struct Body {
    /// The token in the e-mail: 43 characters.
    #[schema(value_type = Given, examples("0l2k1pOQvLJ7DRxPAjZ2eWd9S0Xn8ZrJ3yT1mC5uHbE"))]
    token: Option<String>,
    #[schema(examples("secret789"))]
    password: Option<String>,
    /// An alias of `password`, for requests without it.
    new_password: Option<String>,
}

/// Replace a forgotten password
#[utoipa::path(
    post,
    path = super::path::password_reset_confirm,
    tag = "Accounts",
    description = format!(
        "The token in the e-mail works once, within {}. Every session ends, and the new password is valid. \
         If the address had not been verified before, every API key is revoked too.",
        in_words(Purpose::Reset.life())
    ),
    request_body = Body,
    responses((status = 200, description = "The password is changed.", body = Done, headers(("Set-Cookie" = String)))),
    extensions(
        ("x-fails" = json!([Failure::InvalidLink])),
        ("x-narrow" = json!({ "anyOf": [
            { "required": ["password"], "properties": {
                "password": { "$ref": "#/components/schemas/NewPassword" },
            } },
            { "required": ["new_password"], "properties": {
                "password": { "type": "null" },
                "new_password": { "$ref": "#/components/schemas/NewPassword" },
            } },
        ] })),
    ),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (token, password) = http::json::<Body>(&req)?.parts()?;
    let token = LinkToken::parse(&token).ok_or(Error::InvalidLink)?;
    let now = app.clock.seconds();

    let link = app.store.link(&token, Purpose::Reset, now).await?;
    let password = NewPassword::parse(&password, &[&link.name, &link.address])
        .map_err(|sentence| Error::field("password", sentence))?;
    let hash = app.passwords.hash(&password).await?;
    app.store.reset_password(&link, &hash, now).await?;
    if let Err(error) = app.store.forget_attempts(&link.name, Some(&link.address)).await {
        tracing::warn!(
            user = link.user_id,
            cause = error.cause(),
            "failed log-ins could not be forgotten"
        );
    }
    tracing::info!(user = link.user_id, "password reset");
    cookie::cleared(http::ok(&Done { message: "Password changed. Log in with it." })?, &req)
}

impl Body {
    fn parts(self) -> Result<(String, String)> {
        let mut invalid = FieldErrors::default();
        let token = invalid.check("token", required(self.token));
        let password = invalid.check("password", required(self.password.or(self.new_password)));
        token.zip(password).ok_or_else(|| invalid.into_error())
    }
}
