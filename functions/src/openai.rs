//! The endpoints for OpenAI's clients.

pub mod completions;
pub mod embeddings;
pub mod models;
pub mod responses;
pub mod text_completions;

use shared::http::{BodyLimit, Failures, Route};

use crate::dialects;

endpoints! {
    v1(dialects::completions::FAILURES) => {
        completions: POST "/v1/chat/completions";
        embeddings: POST "/v1/embeddings";
    }
    // Anthropic's programs may call `/v1/v1`, as for messages.
    Route {
        other_clients: Some(dialects::messages::CLIENTS),
        ..v1(dialects::completions::FAILURES)
    } => {
        models:
            GET "/v1/models",
            GET "/v1/v1/models",
            GET models::ONE_PATH,
            GET "/v1/v1/models/{id}",
            GET models::KEY_PATH,
            GET models::CREDITS_PATH => find_model, show_key, show_credits;
    }
    v1(dialects::responses::FAILURES) => {
        responses: POST "/v1/responses";
    }
    v1(dialects::text_completions::FAILURES) => {
        text_completions: POST "/v1/completions";
    }
}

/// Returns the fields that routes under `/v1` share.
const fn v1(failures: &'static dyn Failures) -> Route {
    Route { body_limit: BodyLimit::Conversation, ..Route::without_path(failures) }
}
