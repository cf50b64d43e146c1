//! `GET /api/health` - whether the API can reach its store.
//!
//! Out: `{"status": "ok"}`, or 503.

use serde::Serialize;
use shared::{App, Reply, Request, http};
use utoipa::ToSchema;

/// Reads the smallest table: a reply without a call to the store would prove nothing.
#[utoipa::path(
    get,
    path = "/api/health",
    tag = "Service",
    summary = "Check the service",
    description = "Checks that the API can reach its database.",
    responses((status = 200, description = "The API can reach its database.", body = Healthy)),
)]
pub async fn handle(app: App, _req: Request) -> Reply {
    app.store.public_keys().await?;
    http::ok(&Healthy { status: "ok" })
}

/// A healthy service.
#[derive(Serialize, ToSchema)]
struct Healthy {
    /// Always `ok`.
    #[schema(pattern = "^ok$", examples("ok"))]
    status: &'static str,
}
