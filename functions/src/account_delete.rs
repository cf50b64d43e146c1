//! `DELETE /api/user` - delete one's own account.
//!
//! In: `{password}`, beside the token. Out: 202. Every token of the account is dead at once, and
//! its address free (where it is its name too, with the name); its chats are erased within minutes,
//! and its name is free again after a day. The last administrator can't (409).

use serde::Deserialize;
use shared::auth::password;
use shared::error::required;
use shared::http::cookie;
use shared::openapi::Given;
use shared::view::Done;
use shared::{App, Error, Reply, Request, auth, http};
use utoipa::ToSchema;

#[derive(Deserialize, ToSchema)]
#[schema(as = AccountDeletion)]
struct Body {
    #[schema(value_type = Given, examples("secret789"))]
    password: Option<String>,
}

/// Checks the password once more, since what follows can't be undone, and ends the account in one
/// transaction.
#[utoipa::path(
    delete,
    path = "/api/user",
    tag = "Accounts",
    summary = "Delete the account",
    description = "Its tokens are dead and its address is free at once (where it is the name too, with the name); its chats are erased within minutes, and its name is free again after a day. The last administrator can't.",
    security(("access_token" = [])),
    request_body = Body,
    responses((status = 202, description = "The account is deleted.", body = Done, headers(("Set-Cookie" = String)))),
    extensions(("x-fails" = json!(["WrongPassword", "TooManyAttempts", "LastAdministrator"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let Body { password } = http::json(&req)?;
    let password = required(password).map_err(|sentence| Error::field("password", sentence))?;
    let account = app.store.account_of(&caller).await?;
    auth::confirm(&app, &req, &account, &password).await?;

    app.store.delete_account(&caller, &account, &password::none()?, app.clock.seconds()).await?;
    tracing::info!(user = account.id, "account deleted");
    let message = "The account is deleted. Its chats are erased within minutes, and its name is free again after a day.";
    cookie::cleared(http::accepted(&Done { message })?, &req)
}
