//! `GET /api/admin/users/{id}` - a user with balance, reservations and sessions. For
//! administrators.
//!
//! Out: the user's data, the balance under its three names, `granted` and `spent`, `reservations`
//! (tokens that are reserved for messages), the newest `sessions`, and the number of `api_keys`;
//! 404 for an id that no account has.

use shared::openapi::PathId;
use shared::user::Account;
use shared::view::UserDetails;
use shared::{App, Reply, Request, auth, http};

/// Finds the account at the same time as the administrator's.
#[utoipa::path(
    get,
    path = "/api/admin/users/{id}",
    tag = "Administration",
    summary = "Read a user",
    description = "The user's data with balance, reserved tokens and sessions.",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The user.", body = UserDetails)),
    extensions(("x-fails" = json!(["NoSuchUser"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let id = http::path_id(&req);
    let (_, found) = auth::administrator(&app, &req, app.store.user_with_id(id.as_deref())).await?;
    let account = app.store.account_of_user(&found).await?;
    details(&app, &account).await
}

/// The reply that shows an account to an administrator.
pub(crate) async fn details(app: &App, account: &Account) -> Reply {
    let now = app.clock.seconds();
    let sessions = app.store.open_sessions(account, now).await?;
    http::ok(&UserDetails::of(account, &sessions, now))
}
