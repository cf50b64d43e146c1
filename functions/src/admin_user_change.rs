//! `PATCH /api/admin/users/{id}` - deactivate a user or let them in again, make them an
//! administrator or a user again. For administrators.
//!
//! In: `{active, role, reason}`, at least one of the first two; `role` is `user` or `admin`,
//! `reason` a line for the trail. Out: the user, as `GET` shows them. Every change ends all
//! sessions of the user at once. Administrators neither deactivate nor demote themselves (409).

use serde::Deserialize;
use shared::error::FieldErrors;
use shared::openapi::{PathId, ReasonOrNone};
use shared::store::{Reason, StandingChange};
use shared::user::Role;
use shared::view::UserDetails;
use shared::{App, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::admin_user;

#[derive(Deserialize, ToSchema)]
#[schema(as = StandingChange)]
struct Body {
    /// Whether the account may do anything.
    active: Option<bool>,
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
    #[schema(value_type = Option<ReasonOrNone>)]
    reason: Option<String>,
}

/// Changes it in one transaction, in which whoever does it is an administrator still. Where nothing
/// is to change, nothing is written.
#[utoipa::path(
    patch,
    path = "/api/admin/users/{id}",
    tag = "Administration",
    summary = "Change a user's standing",
    description = "Deactivates a user or lets them in again, makes them an administrator or a user again: `active`, `role`, or both. Every change ends all their sessions at once and stands on the trail. Administrators neither deactivate nor demote themselves.",
    security(("access_token" = [])),
    params(PathId),
    request_body = Body,
    responses((status = 200, description = "The user, as they are now.", body = UserDetails)),
    extensions(("x-fails" = json!(["NoSuchUser", "OwnStanding"])), ("x-narrow" = json!({ "anyOf": [
        { "required": ["active"], "properties": { "active": { "type": "boolean" } } },
        { "required": ["role"], "properties": { "role": { "type": "string" } } },
    ] }))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let id = http::path_id(&req);
    let (administrator, found) =
        auth::administrator(&app, &req, app.store.user_with_id(id.as_deref())).await?;
    let account = app.store.account_of_user(&found).await?;
    let change = http::json::<Body>(&req)?.validate()?;

    let changed = app.store.change_standing(&administrator, &account, &change, &app.clock).await?;
    if (changed.active, changed.role) != (account.active, account.role) {
        let (by, active, role) = (&administrator.account().id, changed.active, changed.role.word());
        tracing::info!(subject = changed.id, by, active, role, "a user's standing was changed");
    }
    admin_user::details(&app, &changed).await
}

impl Body {
    fn validate(self) -> Result<StandingChange> {
        let mut invalid = FieldErrors::default();
        if self.active.is_none() && self.role.is_none() {
            invalid.note("active", "Say what is to change: active, role, or both.");
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
