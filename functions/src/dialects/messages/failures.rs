//! Failures in Anthropic's format ([errors](https://docs.anthropic.com/en/api/errors)).

use serde::Serialize;
use shared::config::ClientStatuses;
use shared::error::{Failure, TooLong};
use shared::http::{self, Failures, HeaderValue, Layout, OtherClients, StatusCode};
use shared::values::estimate_model_tokens;
use shared::{Error, Result};
use utoipa::ToSchema;

use crate::dialects::programs::REQUEST_HEADERS;

/// The header that all of Anthropic's clients send.
pub(crate) const VERSION_HEADER: &str = "anthropic-version";

/// The format of failures.
pub(crate) const FAILURES: &dyn Failures = &AnthropicFormat;

/// Anthropic's clients on a route that they share with the clients of another API.
pub(crate) const CLIENTS: OtherClients =
    OtherClients { header: VERSION_HEADER, failures: FAILURES };

struct AnthropicFormat;

impl Failures for AnthropicFormat {
    fn name(&self) -> &'static str {
        "Anthropic"
    }

    fn document(&self, error: &Error, request_id: &str, _: ClientStatuses) -> Result<String> {
        http::to_json(&AnthropicFailure::of(error, request_id))
    }

    fn layout(&self) -> Layout {
        Layout::Nested { document: "AnthropicFailure", error: "AnthropicError", code: "type" }
    }

    fn status(&self, error: &Error, _: ClientStatuses) -> StatusCode {
        StatusCode::from_u16(status(error)).unwrap_or(error.status())
    }

    /// Anthropic's SDKs retry each 429 and each 5xx, and Claude Code also retries other refusals.
    fn is_final(&self, error: &Error, status: StatusCode) -> bool {
        *error == Error::AiDenied || (status.is_client_error() && !helps_to_retry(status))
    }

    fn event(&self, error: &Error, request_id: &str) -> Result<(Option<&'static str>, String)> {
        Ok((Some("error"), http::to_json(&AnthropicFailure::of(error, request_id))?))
    }

    /// The event in Anthropic's API
    /// ([reference](https://docs.anthropic.com/en/docs/build-with-claude/streaming#ping-events)).
    fn ping(&self) -> Option<&'static str> {
        Some("event: ping\ndata: {\"type\": \"ping\"}\n\n")
    }

    fn request_id_header(&self) -> Option<&'static str> {
        Some("request-id")
    }

    fn request_headers(&self) -> HeaderValue {
        REQUEST_HEADERS
    }
}

/// Returns the name of a prompt's field in Anthropic's API.
fn field(name: &str) -> &str {
    match name {
        "parallel_tool_calls" => "tool_choice.disable_parallel_tool_use",
        "reasoning_effort" => "output_config.effort",
        "response_format" => "output_config.format",
        "stop" => "stop_sequences",
        name => name,
    }
}

/// The status of a failure because the AI is overloaded.
const OVERLOADED: u16 = 529;

/// The maximum number of invalid fields that a message names.
const FIELDS: usize = 10;

/// A failure in Anthropic's format.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnthropicFailure<'a> {
    /// Always `error`.
    #[schema(pattern = "^error$", examples("error"))]
    r#type: &'static str,
    /// The failure.
    error: AnthropicError,
    /// The id of this request in the log.
    request_id: &'a str,
}

/// The failure's members in Anthropic's format.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnthropicError {
    /// The kind of failure, for programs.
    #[schema(examples("invalid_request_error"))]
    r#type: &'static str,
    /// A sentence for human readers that says what happened and what to do.
    message: String,
    /// Details for programs. Present only if the request contains `thread`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    details: Option<AnthropicErrorDetails>,
}

/// Details of a failure in Anthropic's format.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AnthropicErrorDetails {
    /// `thread_unsupported_request`. Anthropic's SDKs then send the whole conversation.
    #[schema(examples("thread_unsupported_request"))]
    error_code: &'static str,
}

impl<'a> AnthropicFailure<'a> {
    fn of(error: &Error, request_id: &'a str) -> Self {
        let has_details = error.kind() == Failure::ThreadUnsupported;
        let error = AnthropicError {
            r#type: kind(status(error)),
            message: message(error),
            details: has_details.then(|| AnthropicErrorDetails { error_code: error.code() }),
        };
        Self { r#type: "error", error, request_id }
    }
}

/// Returns the status. Anthropic's clients retry a 529, and other programs know a 503.
fn status(error: &Error) -> u16 {
    match error {
        Error::AiOverloaded(_) => OVERLOADED,
        error => error.status().as_u16(),
    }
}

/// Returns true if a retry can succeed after a 4xx with this status.
fn helps_to_retry(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS
    )
}

fn kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        OVERLOADED => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// Returns the sentence. Clients recognize some failures by the first words of Anthropic's
/// messages, so the messages here begin with the same words.
fn message(error: &Error) -> String {
    match error {
        Error::NotAuthenticated => {
            "x-api-key header is required: send an API key in it, or in `Authorization: Bearer sk-…`."
                .into()
        }
        Error::InvalidToken(_) => {
            "invalid x-api-key: this API key or token is invalid or has expired. Send a valid one."
                .into()
        }
        Error::PromptTooLong(sizes) => too_long(*sizes),
        Error::Invalid(fields) => {
            let sentences = fields.sentences().take(FIELDS).map(|(field, sentence)| {
                let sentence = sentence.strip_prefix(field).unwrap_or(&sentence);
                format!("{}{sentence}", self::field(field))
            });
            sentences.collect::<Vec<_>>().join(" ")
        }
        error => error.detail(),
    }
}

/// Returns the sentence for a prompt that is too long. Programs then shorten the conversation.
fn too_long(sizes: Option<TooLong>) -> String {
    match sizes {
        Some(TooLong { bytes, most }) => format!(
            "prompt is too long: {} tokens > {} maximum. Tokens are counted as four bytes each here. Nothing was charged.",
            estimate_model_tokens(bytes),
            estimate_model_tokens(most),
        ),
        None => {
            "prompt is too long: it has more tokens than this model's maximum. Nothing was charged."
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::error::{FieldErrors, TokenFault};
    use shared::values::Limit;

    use super::*;

    fn read(error: &Error) -> (u16, serde_json::Value) {
        let statuses = ClientStatuses::default();
        let document = FAILURES.document(error, "r", statuses).unwrap();
        let status = FAILURES.reply(error, "r", statuses).status().as_u16();
        (status, serde_json::from_str(&document).unwrap())
    }

    #[test]
    fn anthropic_clients_get_anthropic_errors() {
        for (error, status, kind) in [
            (Error::field("messages", "None."), 400, "invalid_request_error"),
            (Error::PromptTooLong(None), 400, "invalid_request_error"),
            (Error::KeyRunning { seconds: 1 }, 409, "invalid_request_error"),
            (Error::NotAuthenticated, 401, "authentication_error"),
            (Error::TwoCredentials, 401, "authentication_error"),
            (Error::Forbidden, 403, "permission_error"),
            (Error::NoSuchModel(None), 404, "not_found_error"),
            (Error::BodyTooLarge { limit: 1 }, 413, "request_too_large"),
            (Error::TooManyChats(Limit::at_once("chats", 1)), 429, "rate_limit_error"),
            (Error::Internal("x".into()), 500, "api_error"),
            (Error::AiFailed, 502, "api_error"),
            (Error::Unavailable("x".into()), 503, "api_error"),
            (Error::AiTimedOut, 504, "timeout_error"),
            (Error::AiOverloaded(5), 529, "overloaded_error"),
        ] {
            let (sent, document) = read(&error);
            assert_eq!(sent, status, "{error:?}");
            assert_eq!([&document["type"], &document["error"]["type"]], ["error", kind]);
            assert_eq!(document["request_id"], "r");
            assert_eq!(document["error"].get("details"), None);
            assert!(document["error"]["message"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }

    #[test]
    fn refused_threads_have_details_for_programs() {
        let (status, document) = read(&Error::ThreadUnsupported);
        let details = serde_json::json!({ "error_code": "thread_unsupported_request" });
        assert_eq!((status, &document["error"]["details"]), (400, &details));
    }

    #[test]
    fn final_refusals_are_not_retried() {
        let limit = Limit::at_once("chats", 1);
        for (error, is_final) in [
            (Error::field("messages", "None."), true),
            (Error::NotAuthenticated, true),
            (Error::NoSuchModel(None), true),
            (Error::Stopped, true),
            (Error::KeyRunning { seconds: 1 }, false),
            (Error::TooManyChats(limit), false),
            (Error::AiFailed, false),
            (Error::AiDenied, true),
            (Error::AiOverloaded(5), false),
        ] {
            let reply = FAILURES.reply(&error, "r", ClientStatuses::default());
            let shown = reply.headers().get("x-should-retry").map(|value| value.to_str().unwrap());
            assert_eq!(shown, is_final.then_some("false"), "{error:?}");
        }
    }

    #[test]
    fn messages_begin_with_the_words_that_clients_look_for() {
        let sizes = Some(TooLong { bytes: 800_004, most: 400_000 });
        for (error, words) in [
            (Error::PromptTooLong(sizes), "prompt is too long: 200001 tokens > 100000 maximum"),
            (Error::PromptTooLong(None), "prompt is too long: "),
            (Error::InvalidToken(TokenFault::Unknown), "invalid x-api-key"),
            (Error::NotAuthenticated, "x-api-key header is required"),
            (Error::NoSuchModel(Some("x".into())), "The model `x` does not exist"),
        ] {
            let message = message(&error);
            assert!(message.starts_with(words), "{message}");
        }
    }

    #[test]
    fn messages_name_each_invalid_field_as_the_request_does() {
        let mut fields = FieldErrors::default();
        fields.note("stop", "Too many.");
        fields.note("messages[0].content", "None.");
        let message = message(&fields.into_error());
        assert_eq!(message, "messages[0].content: None. stop_sequences: Too many.");
    }
}
