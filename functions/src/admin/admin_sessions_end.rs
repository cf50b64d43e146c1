//! `DELETE /api/admin/users/{id}/sessions` - end all of a user's sessions. For administrators.
//!
//! Increments the account's epoch in one transaction, which also checks that the caller is still an
//! administrator.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::store::PlannedIntervention;
use shared::values::Intervention;
use shared::view::Done;
use shared::{App, Reply, Request, http};

use super::admin_user::{self, ActReason};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lets administrators end the sessions of a user")
    .permits(permits![
        VERIFY_TOKENS,
        update(Users(&["user:*"])),
        query(UsersByTime),
        RECORD_ACTION,
    ]);

/// End all sessions of a user
///
/// Signs the user out everywhere, for example after a theft: all tokens and e-mailed links are
/// invalid at once. API keys stay valid. The audit log lists it. For their own sessions,
/// administrators log out.
#[utoipa::path(
    delete,
    path = super::path::admin_sessions_end,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    request_body = Option<ActReason>,
    responses((status = 200, description = "The sessions have ended.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchUser, Failure::OwnAccount]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let why: ActReason = http::json_or_nothing(&req)?;
    let (administrator, account) = admin_user::subject(&app, &req).await?;
    let (what, reason) = (Intervention::Sessions, why.validate()?);

    let doing = PlannedIntervention::new(&administrator, &account, what, reason, &app.clock)?;
    app.store.end_sessions_of_user(&doing).await?;
    let (subject, by) = (&account.id, &administrator.account().id);
    tracing::info!(subject, by, "all sessions of a user were ended");
    http::ok(&Done { message: "All sessions of this user have ended." })
}
