//! Endpoints that don't need an account: health, the OpenAPI document, Stripe's events, public
//! keys, discovery.

pub mod discovery;
pub mod health;
pub mod jwks;
pub mod openapi;
pub mod stripe_webhook;

use shared::http::{BodyLimit, PROBLEMS, Route};

endpoints! {
    Route::without_path(PROBLEMS) => {
        health: GET "/api/health";
        openapi: GET "/api/openapi.json";
        jwks: GET "/.well-known/jwks.json";
        discovery:
            GET "/.well-known/openid-configuration",
            GET "/.well-known/oauth-authorization-server";
    }
    Route { body_limit: BodyLimit::Event, ..Route::without_path(PROBLEMS) } => {
        stripe_webhook: POST "/api/stripe/webhook";
    }
}
