//! `GET /api/admin/users/{id}` - a user, with the balance, held tokens and sessions. For
//! administrators.
//!
//! Reads the user's account and the administrator's account in parallel.

use serde::Deserialize;
use shared::error::Failure;
use shared::openapi::{PathId, ReasonOrNone};
use shared::values::{Account, Administrator, Reason};
use shared::view::UserDetails;
use shared::{App, Error, Reply, Request, Result, auth, http};
use utoipa::ToSchema;

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows administrators a user").permits(permits![
    VERIFY_TOKENS,
    query(UsersByTime),
    query(TokensByUser),
    get_many(Tokens(&["session:*"])),
]);

/// Read a user
///
/// The user's data with balance, held tokens and sessions.
#[utoipa::path(
    get,
    path = super::path::admin_user,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The user.", body = UserDetails)),
    extensions(("x-fails" = json!([Failure::NoSuchUser]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (_, account) = subject(&app, &req).await?;
    details(&app, &account).await
}

/// Returns the administrator, and the account with the id in the path.
///
/// # Errors
/// Returns [`Error::NoSuchUser`], or the errors of [`auth::administrator`].
pub(crate) async fn subject(app: &App, req: &Request) -> Result<(Administrator, Account)> {
    let id = http::path_id(req);
    let read = async { Ok(app.store.user_with_id(id.as_deref()).await?) };
    let (administrator, found) = auth::administrator(app, req, read).await?;
    Ok((administrator, app.store.account_of_user(&found).await?))
}

/// Replies with an account as administrators see it.
pub(crate) async fn details(app: &App, account: &Account) -> Reply {
    let now = app.clock.seconds();
    let sessions = app.store.open_sessions(account, now).await?;
    http::ok(&UserDetails::of(account, &sessions, app.config.free_work, now))
}

/// An administrator's reason for an action.
#[derive(Default, Deserialize, ToSchema)]
#[schema(as = ActReason, examples(json!({ "reason": "a stolen laptop" })))]
pub(crate) struct ActReason {
    /// The reason, for the audit log.
    #[schema(value_type = Option<ReasonOrNone>)]
    reason: Option<String>,
}

impl ActReason {
    /// # Errors
    /// Returns [`Error::Invalid`] if the reason is invalid.
    pub(crate) fn validate(self) -> Result<Option<Reason>> {
        let reason = self.reason.filter(|reason| !reason.trim().is_empty());
        let reason = reason.map(|reason| Reason::parse(&reason)).transpose();
        reason.map_err(|sentence| Error::field("reason", sentence))
    }
}
