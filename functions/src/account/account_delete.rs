//! `DELETE /api/user` - delete the caller's account.
//!
//! Deletes the account in one transaction. The password is checked first, because a deletion can't
//! be undone.

use serde::Deserialize;
use shared::app::PasswordApp;
use shared::error::{Failure, required};
use shared::http::{self, cookie};
use shared::openapi::Given;
use shared::view::Done;
use shared::{Error, Reply, Request, auth, passwords};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Deletes accounts").hashes_passwords().throttled().permits(permits![
        VERIFY_TOKENS,
        update(Users(&["user:*", "admins"])),
        check(Users(&["user:*"])),
        scan(UsersByTime),
        delete(Users(&["email:*"])),
        COUNT_PASSWORD_CHECKS,
        COUNT_FAILURES,
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = AccountDeletion, examples(json!({ "password": "secret123" })))]
struct Body {
    #[schema(value_type = Given, examples("secret789"))]
    password: Option<String>,
}

/// Delete the account
///
/// All access tokens, refresh tokens and API keys of the account are invalid at once. Its e-mail
/// address is free at once, and so is its username if that is the address; other usernames are free
/// after a day. Its messages are erased within minutes. The last administrator can't be deleted.
#[utoipa::path(
    delete,
    path = super::path::account_delete,
    tag = "Accounts",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 202, description = "The account is deleted.", body = Done, headers(("Set-Cookie" = String)))),
    extensions(("x-fails" = json!([
        Failure::WrongPassword, Failure::TooManyAttempts, Failure::TooManyConfirmations,
        Failure::LastAdministrator
    ]))),
)]
pub async fn handle(app: PasswordApp, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let Body { password } = http::json(&req)?;
    let password = required(password).map_err(|sentence| Error::field("password", sentence))?;
    let account = app.store.account_of(&caller).await?;
    auth::confirm(&app, &app.accounts, &req, &caller, &account, &password).await?;

    app.store.delete_account(&caller, &account, &passwords::none()?, app.clock.seconds()).await?;
    tracing::info!(user = account.id, "account deleted");
    let message = "The account is deleted. Its messages are erased within minutes, and its username is free again after a day.";
    cookie::cleared(http::accepted(&Done { message })?, &req)
}
