//! `DELETE /api/user/api-keys/{id}` - revoke one of the caller's API keys.
//!
//! Deletes the key in one transaction. The transaction also checks the account and updates its key
//! count.

use shared::error::Failure;
use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Reply, Request, auth, http};

use crate::lambda::Lambda;

pub(crate) const LAMBDA: Lambda = Lambda::new("Revokes API keys").permits(permits![
    VERIFY_TOKENS,
    update(Users(&["user:*"])),
    delete(Tokens(&["apikey:*"])),
]);

/// Revoke an API key
///
/// The key is invalid at once.
#[utoipa::path(
    delete,
    path = super::path::api_key_revoke,
    tag = "API keys",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "The key is revoked.", body = Done)),
    extensions(("x-fails" = json!([Failure::NoSuchApiKey]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::path_parameter(&req, "id");
    app.store.revoke_api_key(&caller, id).await?;
    tracing::info!(user = caller.user_id, api_key = id, "an API key was revoked");
    http::ok(&Done { message: "The API key is revoked." })
}
