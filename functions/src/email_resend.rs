//! `POST /api/user/email` - have the mail that verifies the caller's address sent again. Reads no
//! body.

use serde_json::json;
use shared::{App, Reply, Request, auth, http};
use utoipa::ToSchema;

/// At most one mail a minute per account.
#[utoipa::path(
    post,
    path = "/api/user/email",
    tag = "Accounts",
    summary = "Have the mail that verifies the address sent again",
    description = "At most once a minute. Reads no body.",
    security(("access_token" = [])),
    responses((status = 202, description = "A mail is on its way.", body = Resent)),
    extensions(("x-fails" = json!(["NothingToVerify", "TooManyMails"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account(&caller).await?;
    app.store.post_again(&account, app.clock.seconds()).await?;
    http::accepted(&json!({ "message": "A mail is on its way.", "email": account.unverified() }))
}

/// Where a mail goes.
#[derive(ToSchema)]
pub struct Resent {
    /// A sentence for people.
    #[schema(examples("A mail is on its way."))]
    pub message: String,
    /// The address that waits to be verified.
    #[schema(examples("ann@example.com"))]
    pub email: String,
}
