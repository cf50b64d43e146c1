//! `DELETE /api/admin/users/{id}/api-keys`, `DELETE /api/admin/users/{id}/api-keys/{key}` - revoke
//! one or all of a user's API keys. For administrators.
//!
//! Deletes the keys in one transaction. The transaction also updates the account's key count and
//! checks that the caller is still an administrator.

use shared::error::Failure;
use shared::openapi::{self, PathId};
use shared::store::PlannedIntervention;
use shared::values::Intervention;
use shared::view::Done;
use shared::{App, Error, Reply, Request, http};
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterIn};

use super::admin_user::{self, ActReason};
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Lets administrators revoke the API keys of a user")
    .permits(permits![
        VERIFY_TOKENS,
        update(Users(&["user:*"])),
        query(UsersByTime),
        query(TokensByUser),
        get_many(Tokens(&["apikey:*"])),
        delete(Tokens(&["apikey:*"])),
        RECORD_ACTION,
    ]);

/// The path for revoking one key.
pub(crate) const ONE_PATH: &str = "/api/admin/users/{id}/api-keys/{key}";

/// Revoke all API keys of a user
///
/// The keys are invalid at once; sessions stay valid. The audit log lists it, unless there was no
/// key.
#[utoipa::path(
    delete,
    path = super::path::admin_api_keys_revoke,
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId),
    request_body = Option<ActReason>,
    responses((status = 200, description = "The user has no API keys any more.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchUser, Failure::OwnAccount]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let why: ActReason = http::json_or_nothing(&req)?;
    let (administrator, account) = admin_user::subject(&app, &req).await?;
    let reason = why.validate()?;
    let revoking =
        |what| PlannedIntervention::new(&administrator, &account, what, reason, &app.clock);
    match http::path_parameter(&req, "key") {
        "" => all(&app, &revoking(Intervention::ApiKeys)?).await,
        key => one(&app, &revoking(Intervention::ApiKey)?, key).await,
    }
}

async fn all(app: &App, doing: &PlannedIntervention<'_>) -> Reply {
    let keys = app.store.revoke_keys_of_user(doing, None).await?;
    let (subject, by) = (&doing.account.id, &doing.by.account().id);
    tracing::info!(subject, by, keys, "all API keys of a user were revoked");
    http::ok(&Done { message: "All API keys of this user are revoked." })
}

/// Revoke an API key of a user
///
/// The key is invalid at once. The audit log lists it.
#[utoipa::path(
    delete,
    path = ONE_PATH,
    operation_id = "admin_api_key_revoke",
    tag = "Administration",
    security(("access_token" = [])),
    params(PathId, PathKey),
    request_body = Option<ActReason>,
    responses((status = 200, description = "The key is revoked.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchUser, Failure::NoSuchApiKey, Failure::OwnAccount]))),
)]
pub(crate) async fn one(app: &App, doing: &PlannedIntervention<'_>, key: &str) -> Reply {
    let key = http::id(key).ok_or(Error::NoSuchApiKey)?;
    app.store.revoke_keys_of_user(doing, Some(&key)).await?;
    let (subject, by) = (&doing.account.id, &doing.by.account().id);
    tracing::info!(subject, by, api_key = key, "an API key of a user was revoked");
    http::ok(&Done { message: "The API key is revoked." })
}

/// The `{key}` path parameter.
#[derive(Debug)]
pub struct PathKey;

impl IntoParams for PathKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let id = openapi::id().examples(["01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"]);
        vec![openapi::of_path("key", "The id of the key, as the list shows it.", id)]
    }
}
