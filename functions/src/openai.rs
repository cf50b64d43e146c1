//! The endpoints for OpenAI's clients, and the format of an answer, which these endpoints share.

pub mod completions;
pub mod embeddings;
pub mod models;
pub mod responses;
pub mod text_completions;

mod format;
mod options;
mod reasoning;

use shared::http::{BodyLimit, FailureFormat, Route};

endpoints! {
    v1(FailureFormat::OpenAi) => {
        completions: POST "/v1/chat/completions";
        embeddings: POST "/v1/embeddings";
    }
    // Anthropic's programs may call `/v1/v1`, as for messages.
    Route { also_anthropic: true, ..v1(FailureFormat::OpenAi) } => {
        models:
            GET "/v1/models",
            GET "/v1/v1/models",
            GET models::ONE_PATH,
            GET "/v1/v1/models/{id}",
            GET models::KEY_PATH,
            GET models::CREDITS_PATH => find_model, show_key, show_credits;
    }
    v1(FailureFormat::Responses) => {
        responses: POST "/v1/responses";
    }
    v1(FailureFormat::TextCompletions) => {
        text_completions: POST "/v1/completions";
    }
}

/// Returns the fields that routes under `/v1` share.
const fn v1(failures: FailureFormat) -> Route {
    Route { body_limit: BodyLimit::Conversation, ..Route::without_path(failures) }
}
