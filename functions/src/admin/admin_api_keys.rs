//! `GET /api/admin/users/{id}/api-keys` - all of a user's API keys, newest first, as a bare list.
//! For administrators.
//!
//! Reads the keys' ids from an index first, and then the keys. Unlike the index, the keys are read
//! with strong consistency.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::values::api_key::API_KEYS;
use shared::view::ApiKey;
use shared::{App, Reply, Request, http};

use super::admin_user;
use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Shows administrators the API keys of a user")
    .permits(permits![
        VERIFY_TOKENS,
        query(UsersByTime),
        query(TokensByUser),
        get_many(Tokens(&["apikey:*"])),
    ]);

/// List the API keys of a user
#[utoipa::path(
    get,
    path = super::path::admin_api_keys,
    tag = "Administration",
    description = format!(
        "All keys of the account, newest first: at most {API_KEYS}. The keys themselves are not \
         stored."
    ),
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The keys.", body = Vec<ApiKey>)),
    extensions(("x-fails" = json!([Failure::NoSuchUser]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let (_, account) = admin_user::subject(&app, &req).await?;
    let ids = app.store.api_key_ids(&account.id).await?;
    let keys = app.store.api_keys(&account, &ids).await?;
    let now = app.clock.millis();
    let data: Vec<_> = keys.iter().map(|key| ApiKey::of(key, Some(&account), now)).collect();
    http::ok(&data)
}
