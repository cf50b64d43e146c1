//! The endpoints for Anthropic's clients.

pub mod count_tokens;
pub mod messages;

use shared::http::{BodyLimit, Route};

use crate::dialects::messages::FAILURES;

// Some programs expect a base URL with `/v1`, and others without it. With the wrong one, a program
// sends `/v1/v1`.
endpoints! {
    Route { body_limit: BodyLimit::Conversation, ..Route::without_path(FAILURES) } => {
        messages: POST "/v1/messages", POST "/v1/v1/messages";
        count_tokens: POST "/v1/messages/count_tokens", POST "/v1/v1/messages/count_tokens";
    }
}
