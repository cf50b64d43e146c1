//! `GET /api/health` - whether the API can reach its store.
//!
//! Out: `{"status": "ok"}`, or 503.

use serde::Serialize;
use shared::{App, Reply, Request, http};
use utoipa::ToSchema;

/// Reads the smallest table, since an answer that asks nobody would say nothing.
#[utoipa::path(
    get,
    path = "/api/health",
    tag = "Service",
    summary = "Ask whether all is well",
    description = "Whether the API can reach its store.",
    responses((status = 200, description = "It can.", body = Healthy)),
)]
pub async fn handle(app: App, _req: Request) -> Reply {
    app.store.public_keys().await?;
    http::ok(&Healthy { status: "ok" })
}

/// That all is well.
#[derive(Serialize, ToSchema)]
struct Healthy {
    /// Always `ok`.
    #[schema(pattern = "^ok$", examples("ok"))]
    status: &'static str,
}
