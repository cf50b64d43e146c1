//! `DELETE /api/user` - delete one's own account.
//!
//! In: `{password}`, beside the token. Out: 202. Every token of the account is dead at once, and its address free (where it is its name too,
//! with the name); its chats are erased within minutes, and its name is free again after a day.

use serde::Deserialize;
use serde_json::json;
use shared::auth::password;
use shared::error::required;
use shared::{App, Error, Reply, Request, auth, http};

#[derive(Deserialize)]
struct Body {
    password: Option<String>,
}

/// Checks the password once more, since what follows can't be undone, and ends the account in one transaction.
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let Body { password } = http::json(&req)?;
    let password = required(password).map_err(|sentence| Error::field("password", sentence))?;
    let account = app.store.account(&caller).await?;
    auth::confirm(&app, &req, &account, &password).await?;

    app.store.delete_account(&caller, &account, &password::none()?, app.clock.seconds()).await?;
    tracing::info!(user = account.id, "account deleted");
    http::accepted(&json!({ "message": "The account is deleted. Its chats are erased within minutes, and its name is free again after a day." }))
}
