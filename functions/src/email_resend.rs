//! `POST /api/user/email` - have the mail that verifies the caller's address sent again. Reads no
//! body.

use serde::Serialize;
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
    let account = app.store.account_of(&caller).await?;
    app.store.post_again(&account, app.clock.seconds()).await?;
    http::accepted(&Resent { message: "A mail is on its way.", email: account.unverified() })
}

/// Where a mail goes.
#[derive(Serialize, ToSchema)]
struct Resent<'a> {
    /// A sentence for people.
    #[schema(examples("A mail is on its way."))]
    message: &'static str,
    /// The address that waits to be verified.
    #[schema(required, nullable = false, examples("ann@example.com"))]
    email: Option<&'a str>,
}
