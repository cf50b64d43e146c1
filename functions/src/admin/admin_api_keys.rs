//! `GET /api/admin/users/{id}/api-keys` - the API keys of a user, newest first, as a bare list of all
//! of them. For administrators.
//!
//! Out: `id`, `name`, `hint` (the last four characters of the key) and `created` of each, at most
//! 50.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::ApiKey;
use shared::{App, Reply, Request, http};

use super::admin_user;

/// Reads the ids from an index, and then the keys, strongly consistent.
#[utoipa::path(
    get,
    path = super::path::admin_api_keys,
    tag = "Administration",
    summary = "List the API keys of a user",
    description = "All keys of the account, newest first: at most 50. The keys themselves are not stored.",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The keys.", body = Vec<ApiKey>)),
    extensions(("x-fails" = json!([Failure::NoSuchUser]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (_, account) = admin_user::subject(&app, &req).await?;
    let ids = app.store.api_key_ids(&account.id).await?;
    let keys = app.store.api_keys(&account, &ids).await?;
    let data: Vec<_> = keys.iter().map(ApiKey::of).collect();
    http::ok(&data)
}
