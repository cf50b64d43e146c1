//! `DELETE /api/admin/users/{id}` - delete a user's account. For administrators.
//!
//! Deletes the account in one transaction, which also checks that the caller is still an
//! administrator. Callers can't delete their own accounts here, so at least one administrator
//! always remains.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::store::PlannedIntervention;
use shared::values::Intervention;
use shared::view::Done;
use shared::{App, Reply, Request, http, passwords};

use super::admin_user::{self, ActReason};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators delete users").permits(permits![
        VERIFY_TOKENS,
        update(Users(&["user:*", "admins"])),
        delete(Users(&["email:*"])),
        query(UsersByTime),
        RECORD_ACTION,
    ]);

/// Delete a user
///
/// Like a deletion by the owner, this can't be undone: all tokens and API keys are invalid at once,
/// and messages are erased within minutes. The e-mail address is free at once, and so is the
/// username if that is the address; other usernames are free after a day. The ledger stays, without
/// a name. Vouchers that the user has created as an administrator stay valid. Administrators delete
/// their own accounts with `DELETE /api/user/`.
#[utoipa::path(
    delete,
    path = super::path::admin_user_delete,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    request_body = Option<ActReason>,
    responses((status = 202, description = "The account is deleted.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchUser, Failure::OwnAccount]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let why: ActReason = http::json_or_nothing(&req)?;
    let (administrator, account) = admin_user::subject(&app, &req).await?;
    let (what, reason) = (Intervention::Deletion, why.validate()?);

    let doing = PlannedIntervention::new(&administrator, &account, what, reason, &app.clock)?;
    app.store.delete_user(&doing, &passwords::none()?, app.clock.seconds()).await?;
    // After a restore, operators search the log for "account deleted" to find deleted accounts.
    tracing::info!(user = account.id, by = administrator.account().id, "account deleted");
    let message = "The account is deleted. Its messages are erased within minutes, and its username is free again after a day.";
    http::accepted(&Done { message })
}
