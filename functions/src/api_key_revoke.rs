//! `DELETE /api/user/api-keys/{id}` - revoke one of the caller's API keys.
//!
//! Out: a message; 404 for a key that isn't the caller's or was revoked. It opens nothing from here
//! on.

use shared::openapi::PathId;
use shared::view::Done;
use shared::{App, Reply, Request, auth, http};

/// Deletes the key in the one write that lets the caller in and counts it.
#[utoipa::path(
    delete,
    path = "/api/user/api-keys/{id}",
    tag = "API keys",
    summary = "Revoke an API key",
    description = "It opens nothing from here on.",
    security(("access_token" = [])),
    params(PathId),
    responses((status = 200, description = "It is revoked.", body = Done)),
    extensions(("x-fails" = json!(["NoSuchApiKey"]))),
)]
pub async fn handle(app: App, req: Request) -> Reply {
    let caller = auth::caller(&app, &req).await?;
    let id = http::path_parameter(&req, "id");
    app.store.revoke_api_key(&caller, id).await?;
    tracing::info!(user = caller.user_id, api_key = id, "an API key was revoked");
    http::ok(&Done { message: "The API key is revoked." })
}
