//! `GET /api/health` - whether the API can reach its store.
//!
//! Out: `{"status": "ok"}`, or 503.

use serde_json::json;
use shared::{App, Reply, Request, http};

/// Reads the smallest table, since an answer that asks nobody would say nothing.
pub async fn handle(app: App, _req: Request) -> Reply {
    app.store.public_keys().await?;
    http::ok(&json!({ "status": "ok" }))
}
