//! `POST /api/admin/users/{id}/password-reset` - send a user a password-reset e-mail. For
//! administrators.
//!
//! Writes the e-mail to the outbox in one transaction, which also checks that the caller is still
//! an administrator. The `mail` function creates the link later, so administrators never see it.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::store::PlannedIntervention;
use shared::values::Intervention;
use shared::view::Done;
use shared::{App, Reply, Request, http};

use super::admin_user::{self, ActReason};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators send a user a link for a new password").permits(permits![
        VERIFY_TOKENS,
        query(UsersByTime),
        put(Tokens(&["outbox:*", "mailed:*"])),
        RECORD_ACTION,
    ]);

/// Send a user an e-mail that resets the password
///
/// Sends the same e-mail as a request for a forgotten password. Its link is valid for an hour;
/// until it is used, the old password stays valid. At most one e-mail a minute is sent to an
/// address; further requests get the same reply. The audit log lists each e-mail that was sent.
#[utoipa::path(
    post,
    path = super::path::admin_password_reset,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    request_body = Option<ActReason>,
    responses((status = 202, description = "An e-mail is on its way.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchUser, Failure::OwnAccount, Failure::NoAddress]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let why: ActReason = http::json_or_nothing(&req)?;
    let (administrator, account) = admin_user::subject(&app, &req).await?;
    let (what, reason) = (Intervention::PasswordReset, why.validate()?);

    let doing = PlannedIntervention::new(&administrator, &account, what, reason, &app.clock)?;
    app.store.post_reset_of_user(&doing, app.clock.seconds()).await?;
    let (subject, by) = (&account.id, &administrator.account().id);
    tracing::info!(subject, by, "a user was sent a link for a new password");
    http::accepted(&Done { message: "An e-mail is on its way." })
}
