//! `GET /api/health` - checks that the API can reach its store.
//!
//! Out: `{"status": "ok", "first_grant": 4000, "chat_price": 100}`, or 503.

use serde::Serialize;
use shared::app::GuardApp;
use shared::{Credits, Reply, Request, http};
use utoipa::ToSchema;

/// Reads the smallest table, because a reply without a call to the store would prove nothing.
#[utoipa::path(
    get,
    path = super::path::health,
    tag = "Service",
    summary = "Check the service",
    description = "Checks that the API can reach its database, and says what a new account begins with.",
    responses((status = 200, description = "The API can reach its database.", body = Healthy)),
)]
pub async fn handle(app: GuardApp, _req: Request) -> Reply {
    app.store.public_keys().await?;
    let (first_grant, chat_price) = (app.accounts.first_grant, app.config.chat_price);
    http::ok(&Healthy { status: "ok", first_grant, chat_price })
}

/// The reply of a healthy service.
#[derive(Serialize, ToSchema)]
struct Healthy {
    /// Always `ok`.
    #[schema(pattern = "^ok$", examples("ok"))]
    status: &'static str,
    /// The balance of a new account.
    first_grant: Credits,
    /// The price of a message with its answer.
    chat_price: Credits,
}
