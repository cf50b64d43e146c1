//! Failures in OpenAI's format
//! ([error codes](https://platform.openai.com/docs/guides/error-codes)).

use serde::Serialize;
use shared::config::ClientStatuses;
use shared::http::{self, Failures, HeaderMap, HeaderValue, Layout, StatusCode};
use shared::values::Limit;
use shared::{Error, Result};
use utoipa::ToSchema;

use super::limits;
use crate::dialects::programs::REQUEST_HEADERS;

/// The format of one of OpenAI's APIs.
pub(crate) struct OpenAiFormat {
    /// The name of the format in the OpenAPI document.
    pub(crate) name: &'static str,
    /// The fields of a prompt whose names differ in this API, each with its name there.
    pub(crate) fields: &'static [(&'static str, &'static str)],
}

impl Failures for OpenAiFormat {
    fn name(&self) -> &'static str {
        self.name
    }

    fn document(&self, error: &Error, _: &str, _: ClientStatuses) -> Result<String> {
        http::to_json(&self.failure(error))
    }

    fn layout(&self) -> Layout {
        Layout::Nested { document: "OpenAiFailure", error: "OpenAiError", code: "code" }
    }

    /// OpenAI's SDKs retry each 429 and each 5xx.
    fn is_final(&self, error: &Error, _: StatusCode) -> bool {
        *error == Error::AiDenied || is_out_of_credits(error)
    }

    fn event(&self, error: &Error, _: &str) -> Result<(Option<&'static str>, String)> {
        Ok((None, http::to_json(&self.failure(error))?))
    }

    fn show_limit(&self, limit: &Limit, headers: &mut HeaderMap) {
        limits::show(limit, headers);
    }

    fn duration_header(&self) -> Option<&'static str> {
        Some("openai-processing-ms")
    }

    fn request_headers(&self) -> HeaderValue {
        REQUEST_HEADERS
    }
}

/// A failure in OpenAI's format.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiFailure {
    /// The failure.
    pub(crate) error: OpenAiError,
}

/// The failure's members in OpenAI's format.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OpenAiError {
    /// A sentence for human readers that says what happened and what to do.
    pub(crate) message: String,
    /// The kind of failure.
    pub(crate) r#type: &'static str,
    /// The name of the invalid field. Null if no single field is the reason.
    #[schema(required)]
    pub(crate) param: Option<String>,
    /// The failure's machine-readable code.
    pub(crate) code: &'static str,
}

impl OpenAiFormat {
    /// Returns the name of a prompt's field in this API.
    fn field<'f>(&self, name: &'f str) -> &'f str {
        let other = self.fields.iter().find(|(ours, _)| *ours == name);
        other.map_or(name, |(_, theirs)| *theirs)
    }

    /// Creates a failure. The `code` is OpenAI's if there is one for this failure, otherwise
    /// Farebox's.
    pub(crate) fn failure(&self, error: &Error) -> OpenAiFailure {
        let status = error.status();
        let (r#type, code) = match status {
            StatusCode::UNAUTHORIZED => ("invalid_request_error", "invalid_api_key"),
            _ if is_out_of_credits(error) => ("insufficient_quota", "insufficient_quota"),
            StatusCode::TOO_MANY_REQUESTS => ("rate_limit_error", "rate_limit_exceeded"),
            status if status.is_server_error() => ("server_error", error.code()),
            _ => ("invalid_request_error", error.code()),
        };
        // Clients recognize some failures by the first words of OpenAI's messages, so the messages
        // here begin with the same words.
        let (message, param) = match error {
            Error::NotAuthenticated => {
                let how = "Send one in the header `Authorization: Bearer sk-…`.";
                (format!("You didn't provide an API key. {how}"), None)
            }
            Error::ApiKeyExpired => (error.detail(), None),
            _ if status == StatusCode::UNAUTHORIZED => {
                let how = "Send a valid one in the header `Authorization: Bearer sk-…`.";
                (format!("Incorrect API key provided. {how}"), None)
            }
            _ if is_out_of_credits(error) => {
                (format!("You exceeded your current quota. {}", error.detail()), None)
            }
            Error::NoSuchModel(_) => (error.detail(), Some("model".into())),
            Error::PromptTooLong(_) => (error.detail(), Some(self.field("messages").into())),
            Error::TextTooLong(_) | Error::NoSuchItem(_) => (error.detail(), Some("input".into())),
            // OpenAI's format can report only one invalid field.
            Error::Invalid(fields) => fields.first().map_or_else(
                || (error.detail(), None),
                |(field, sentence)| {
                    let name = self.field(field);
                    let sentence = sentence.strip_prefix(field).unwrap_or(&sentence);
                    (format!("{name}{sentence}"), Some(name.to_owned()))
                },
            ),
            _ => (error.detail(), None),
        };
        OpenAiFailure { error: OpenAiError { message, r#type, param, code } }
    }
}

fn is_out_of_credits(error: &Error) -> bool {
    matches!(
        error,
        Error::InsufficientTokens { .. } | Error::KeyLimitReached { .. } | Error::OutOfQuota(_)
    )
}

#[cfg(test)]
mod tests {
    use shared::Credits;
    use shared::error::TokenFault;
    use shared::http::{Body, Response};

    use super::*;
    use crate::dialects::{completions, responses, text_completions};

    fn reply(error: &Error) -> Response<Body> {
        completions::FAILURES.reply(error, "r", ClientStatuses::default())
    }

    /// Returns the failure for a message that costs more than the balance.
    fn out_of_tokens(advice: Option<String>) -> Error {
        Error::InsufficientTokens {
            cost: Credits::new(100).unwrap(),
            balance: Credits::ZERO,
            held: Credits::ZERO,
            by_usage: None,
            next: None,
            advice,
        }
    }

    #[test]
    fn openai_clients_get_openai_errors() {
        let out = out_of_tokens(Some("Get more: https://shop.example.com".into()));
        for (error, status, kind, code) in [
            (
                Error::InvalidToken(TokenFault::Unknown),
                401,
                "invalid_request_error",
                "invalid_api_key",
            ),
            (Error::NotAuthenticated, 401, "invalid_request_error", "invalid_api_key"),
            (out.clone(), 402, "insufficient_quota", "insufficient_quota"),
            (
                Error::OutOfQuota(Box::new(out.clone())),
                429,
                "insufficient_quota",
                "insufficient_quota",
            ),
            (
                Error::TooManyChats(Limit::at_once("chats", 1)),
                429,
                "rate_limit_error",
                "rate_limit_exceeded",
            ),
            (
                Error::KeyRunning { seconds: 1 },
                409,
                "invalid_request_error",
                "idempotency_key_running",
            ),
            (Error::field("messages", "None."), 400, "invalid_request_error", "invalid_fields"),
            (Error::PromptTooLong(None), 400, "invalid_request_error", "context_length_exceeded"),
            (Error::AiFailed, 502, "server_error", "ai_failed"),
            (Error::AiDenied, 502, "server_error", "ai_failed"),
        ] {
            assert_eq!(reply(&error).status().as_u16(), status, "{error:?}");
            let failure = completions::FORMAT.failure(&error).error;
            assert_eq!((failure.r#type, failure.code), (kind, code));
        }
        for (error, words) in [
            (Error::NotAuthenticated, "You didn't provide an API key."),
            (Error::InvalidToken(TokenFault::Unknown), "Incorrect API key provided."),
            (out.clone(), "You exceeded your current quota."),
            (Error::OutOfQuota(Box::new(out.clone())), "You exceeded your current quota."),
            (Error::PromptTooLong(None), "This model's maximum context length is "),
            (Error::NoSuchModel(Some("gpt-x".into())), "The model `gpt-x` does not exist"),
        ] {
            let message = completions::FORMAT.failure(&error).error.message;
            assert!(message.starts_with(words), "{message}");
        }
        for (failures, field, name) in [
            (completions::FORMAT, "messages", "messages"),
            (completions::FORMAT, "response_format", "response_format"),
            (responses::FORMAT, "messages", "input"),
            (responses::FORMAT, "response_format", "text.format"),
            (responses::FORMAT, "reasoning_effort", "reasoning.effort"),
            (responses::FORMAT, "verbosity", "text.verbosity"),
            (completions::FORMAT, "thinking", "reasoning.max_tokens"),
            (responses::FORMAT, "tools", "tools"),
            (text_completions::FORMAT, "messages", "prompt"),
            (text_completions::FORMAT, "seed", "seed"),
            (responses::FORMAT, "input[0].content", "input[0].content"),
        ] {
            let failure = failures.failure(&Error::field(field, "None.")).error;
            assert_eq!(failure.param.as_deref(), Some(name));
            assert_eq!(failure.message, format!("{name}: None."));
        }
        let model = responses::FORMAT.failure(&Error::NoSuchModel(None)).error;
        assert_eq!(model.param.as_deref(), Some("model"));
        let advised = responses::FORMAT.failure(&out).error;
        assert!(
            advised.message.ends_with(" Nothing was charged. Get more: https://shop.example.com")
        );
        let too_long = responses::FORMAT.failure(&Error::PromptTooLong(None)).error;
        assert_eq!(too_long.param.as_deref(), Some("input"));
        for error in [out.clone(), Error::OutOfQuota(Box::new(out.clone())), Error::AiDenied] {
            let reply = reply(&error);
            assert_eq!(reply.headers()["x-should-retry"], "false");
            assert!(!reply.headers().contains_key("retry-after"));
        }
    }
}
