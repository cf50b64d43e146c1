//! `PATCH /api/admin/users/{id}` - activate or deactivate a user, or change the user's role. For
//! administrators.
//!
//! In: `{active, role, reason}`, at least one of the first two; `role` is `user` or `admin`,
//! `reason` a line for the audit log. Out: the user, as `GET` shows it. Every change ends all of
//! the user's sessions at once. Administrators can't deactivate or demote themselves (409).

use serde::Deserialize;
use shared::error::{Failure, FieldErrors};
use shared::openapi::{PathId, ReasonOrNone};
use shared::store::StandingChange;
use shared::values::{Reason, Role};
use shared::view::UserDetails;
use shared::{App, Reply, Request, Result, http};
use utoipa::ToSchema;

use super::admin_user;

#[derive(Deserialize, ToSchema)]
#[schema(as = StandingChange, examples(json!({ "active": true, "reason": "a mistake" })))]
struct Body {
    /// Whether the account is active. A deactivated account can't be used.
    active: Option<bool>,
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
    #[schema(value_type = Option<ReasonOrNone>)]
    reason: Option<String>,
}

/// Changes the account in one transaction, which also checks that the caller is still an
/// administrator. If nothing would change, nothing is written.
#[utoipa::path(
    patch,
    path = super::path::admin_user_change,
    tag = "Administration",
    summary = "Change a user's state or role",
    description = "Activates or deactivates a user, or changes the role: `active`, `role`, or both. Every change ends all sessions of the user at once, and the audit log lists it. Administrators can't deactivate or demote themselves. Vouchers that the user has created as an administrator stay valid: void the ones that you don't trust.",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The user after the change.", body = UserDetails)),
    extensions(("x-fails" = json!([Failure::NoSuchUser, Failure::OwnStanding])), ("x-narrow" = json!({ "anyOf": [
        { "required": ["active"], "properties": { "active": { "type": "boolean" } } },
        { "required": ["role"], "properties": { "role": { "type": "string" } } },
    ] }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (administrator, account) = admin_user::subject(&app, &req).await?;
    let change = http::json::<Body>(&req)?.validate()?;

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
        if self.active.is_none() && self.role.is_none() {
            invalid.note("active", "Send active, role, or both.");
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
