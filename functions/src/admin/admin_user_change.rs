//! `PATCH /api/admin/users/{id}` - change a user's state or role, or unlock a user whose messages
//! failed too often. For administrators.
//!
//! Changes the account in one transaction, which also checks that the caller is still an
//! administrator. If the request wouldn't change anything, nothing is written.

use serde::Deserialize;
use shared::error::{Failure, FieldErrors};
use shared::openapi::{PathId, ReasonOrNone};
use shared::store::{PlannedIntervention, StandingChange};
use shared::values::{Intervention, Reason, Role};
use shared::view::UserDetails;
use shared::{App, Reply, Request, Result, http};
use utoipa::ToSchema;

use super::admin_user;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda =
    Lambda::new("Lets administrators change roles and states of accounts").permits(permits![
        VERIFY_TOKENS,
        update(Users(&["user:*", "admins"])),
        query(UsersByTime),
        RECORD_ACTION,
        query(TokensByUser),
        get_many(Tokens(&["session:*"])),
    ]);

#[derive(Deserialize, ToSchema)]
#[schema(as = StandingChange, examples(json!({ "active": true, "reason": "a mistake" })))]
struct Body {
    /// Whether the account is active. A deactivated account can't be used.
    active: Option<bool>,
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
    /// `true` resets the user's free work for the day, so that the user can send messages again.
    unlock: Option<bool>,
    #[schema(value_type = Option<ReasonOrNone>)]
    reason: Option<String>,
}

/// Change a user's state or role, or unlock the user
///
/// Activates or deactivates a user, or changes the role: `active`, `role`, or both. Such a change
/// ends all sessions of the user at once. `unlock` resets the day's `free_work`, so that a user
/// whose messages failed too often can send messages again. The audit log lists every change.
/// Administrators can't change their own account. Vouchers that the user has created as an
/// administrator stay valid: void the ones that you don't trust.
#[utoipa::path(
    patch,
    path = super::path::admin_user_change,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The user after the change.", body = UserDetails)),
    extensions(("x-fails" = json!([Failure::NoSuchUser, Failure::OwnStanding, Failure::OwnAccount])), ("x-narrow" = json!({ "anyOf": [
        { "required": ["active"], "properties": { "active": { "type": "boolean" }, "unlock": { "not": { "const": true } } } },
        { "required": ["role"], "properties": { "role": { "type": "string" }, "unlock": { "not": { "const": true } } } },
        { "required": ["unlock"], "properties": { "unlock": { "const": true }, "active": { "type": "null" }, "role": { "type": "null" } } },
    ] }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (administrator, mut account) = admin_user::subject(&app, &req).await?;
    let body = http::json::<Body>(&req)?;
    let unlocks = body.unlock == Some(true);
    let change = body.validate()?;

    if unlocks {
        let (what, reason) = (Intervention::Unlock, change.reason.clone());
        let doing = PlannedIntervention::new(&administrator, &account, what, reason, &app.clock)?;
        let unlocked = app.store.forget_free_work_of_user(&doing, app.clock.seconds()).await?;
        let (subject, by) = (&unlocked.id, &administrator.account().id);
        tracing::info!(subject, by, "the free work of a user was reset");
        account = unlocked;
    }
    let changed = app.store.change_standing(&administrator, &account, &change, &app.clock).await?;
    if (changed.active, &changed.role) != (account.active, &account.role) {
        let (by, active, role) = (&administrator.account().id, changed.active, changed.role.word());
        tracing::info!(subject = changed.id, by, active, role, "a user's standing was changed");
    }
    admin_user::details(&app, &changed).await
}

impl Body {
    fn validate(self) -> Result<StandingChange> {
        let mut invalid = FieldErrors::default();
        let changes = self.active.is_some() || self.role.is_some();
        if changes == (self.unlock == Some(true)) {
            invalid.note("active", "Send active, role or both, or send only unlock with true.");
        }
        let role = self.role.and_then(|role| invalid.check("role", Role::parse(&role)));
        let reason = self
            .reason
            .filter(|reason| !reason.trim().is_empty())
            .and_then(|reason| invalid.check("reason", Reason::parse(&reason)));
        if invalid.is_empty() {
            Ok(StandingChange { active: self.active, role, reason })
        } else {
            Err(invalid.into_error())
        }
    }
}
