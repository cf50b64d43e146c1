//! `POST /api/user/email` - have the mail that verifies the caller's address sent again. Reads no body.

use serde_json::json;
use shared::{App, Reply, Request, auth, http};

/// At most one mail a minute per account.
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account(&caller).await?;
    app.store.post_again(&account, app.clock.seconds()).await?;
    http::accepted(&json!({ "message": "A mail is on its way.", "email": account.unverified() }))
}
