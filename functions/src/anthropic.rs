//! The endpoints for Anthropic's clients, and the requests that these endpoints share.

pub mod count_tokens;
pub mod messages;

mod request;

use shared::http::{BodyLimit, FailureFormat, Route};

// Some programs expect a base URL with `/v1`, and others without it. With the wrong one, a program
// sends `/v1/v1`.
endpoints! {
    Route { body_limit: BodyLimit::Conversation, ..Route::without_path(FailureFormat::Anthropic) } => {
        messages: POST "/v1/messages", POST "/v1/v1/messages";
        count_tokens: POST "/v1/messages/count_tokens", POST "/v1/v1/messages/count_tokens";
    }
}
