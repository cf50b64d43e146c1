//! `POST /api/user/email` - resend the e-mail that verifies the caller's address.

use serde::Serialize;
use shared::error::Failure;
use shared::{App, Reply, Request, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Sends another e-mail that verifies an address")
    .permits(permits![
        VERIFY_TOKENS,
        put(Tokens(&["outbox:*", "mailed:*"])),
        update(Tokens(&["mailed:*"])),
    ]);

/// Send the verification e-mail again
///
/// At most once a minute. The request has no body.
#[utoipa::path(
    post,
    path = super::path::email_resend,
    tag = "Accounts",
    security(("access_token" = [])),
    responses((status = 202, description = "An e-mail is on its way.", body = ResentEmail)),
    extensions(("x-fails" = json!([Failure::NothingToVerify, Failure::TooManyMails]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let account = app.store.account_of(&caller).await?;
    app.store.post_again(&account, app.clock.seconds()).await?;
    http::accepted(&ResentEmail {
        message: "An e-mail is on its way.",
        email: account.unverified(),
    })
}

/// The recipient of an e-mail that is sent again.
#[derive(Serialize, ToSchema)]
#[schema(as = Resent)]
struct ResentEmail<'a> {
    /// A human-readable sentence.
    #[schema(examples("An e-mail is on its way."))]
    message: &'static str,
    /// The unverified address.
    #[schema(required, nullable = false, examples("ann@example.com"))]
    email: Option<&'a str>,
}
