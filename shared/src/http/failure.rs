//! Renders failures in the format that a route's clients expect.

mod anthropic;
pub(super) mod django;

pub use self::anthropic::{AnthropicError, AnthropicFailure};

use lambda_http::http::header::{self, HeaderValue};
use serde::Serialize;
use utoipa::ToSchema;

use super::reply::{JSON, response, to_json};
use super::{Body, Response, StatusCode, rate_limit};
use crate::config::ClientStatuses;
use crate::error::FieldErrors;
use crate::{Credits, Error};

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json; charset=utf-8");

const PAGE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The content security policy of the 404 page. The page doesn't contain scripts.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The format of a route's failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureFormat {
    /// Problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
    Problem,
    /// OpenAI's format ([error codes](https://platform.openai.com/docs/guides/error-codes)).
    OpenAi,
    /// OpenAI's format, with the field names of the Responses API.
    Responses,
    /// OpenAI's format, with the field names of the older completions.
    TextCompletions,
    /// Anthropic's format ([errors](https://docs.anthropic.com/en/api/errors)).
    Anthropic,
    /// Problem documents with the members that Django clients read. This format is for the routes
    /// on which clients register or exchange credentials for tokens. The code for an invalid token
    /// comes from
    /// [djangorestframework-simplejwt](https://github.com/jazzband/djangorestframework-simplejwt).
    Simplejwt,
    /// Problem documents with the members that Django clients read. This format is for the routes
    /// that these clients call with an access token.
    SimplejwtGuarded,
}

impl FailureFormat {
    /// Returns true if the route serves OpenAI's clients.
    pub fn is_openai(self) -> bool {
        matches!(self, Self::OpenAi | Self::Responses | Self::TextCompletions)
    }

    /// Returns true if the route's failures contain the members that Django clients read.
    pub fn is_django(self) -> bool {
        matches!(self, Self::Simplejwt | Self::SimplejwtGuarded)
    }

    /// Returns the request headers that web pages from other origins may send. In a browser, the
    /// SDKs of OpenAI, Anthropic and OpenRouter send additional headers.
    pub(crate) fn asked_with(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Problem | Self::Simplejwt | Self::SimplejwtGuarded => {
                "authorization, content-type, idempotency-key, x-device-token"
            }
            Self::OpenAi | Self::Responses | Self::TextCompletions | Self::Anthropic => {
                "authorization, content-type, idempotency-key, anthropic-beta, anthropic-dangerous-direct-browser-access, anthropic-user-profile-id, \
                 anthropic-version, anthropic-workspace-id, http-referer, openai-beta, openai-organization, openai-project, user-agent, x-api-key, x-app, \
                 x-stainless-arch, x-stainless-helper, x-stainless-helper-method, x-stainless-lang, \
                 x-stainless-os, x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, \
                 x-stainless-timeout, x-title"
            }
        })
    }

    /// Returns the body of the reply.
    pub fn document(self, error: &Error, request_id: &str, statuses: ClientStatuses) -> String {
        let problem = || Problem::of(error, self.status(error, statuses), request_id);
        let document = match self {
            Self::Problem => to_json(&problem()),
            Self::OpenAi | Self::Responses | Self::TextCompletions => {
                to_json(&OpenAiFailure::of(error, self))
            }
            Self::Anthropic => to_json(&AnthropicFailure::of(error, request_id)),
            Self::Simplejwt => django::document(problem(), error),
            Self::SimplejwtGuarded => django::guarded(problem(), error),
        };
        // Every failure type can be written as JSON.
        document.unwrap_or_default()
    }

    /// Returns the reply's status. On the paths for clients of older systems, some statuses differ.
    fn status(self, error: &Error, statuses: ClientStatuses) -> StatusCode {
        let other = match (self, error) {
            // Django refuses a taken name like any other invalid field.
            (Self::Simplejwt, Error::UsernameTaken | Error::EmailTaken) => 400,
            (Self::Simplejwt, Error::InvalidCredentials) => statuses.login,
            (Self::SimplejwtGuarded, Error::InsufficientTokens { .. }) => statuses.balance,
            (Self::Anthropic, error) => anthropic::status(error),
            _ => return error.status(),
        };
        StatusCode::from_u16(other).unwrap_or(error.status())
    }

    /// Returns the reply.
    pub fn reply(
        self,
        error: &Error,
        request_id: &str,
        statuses: ClientStatuses,
    ) -> Response<Body> {
        let status = self.status(error, statuses);
        let is_json = self.is_openai() || self == Self::Anthropic;
        let content_type = if is_json { JSON } else { PROBLEM };
        let mut response =
            response(status, content_type, self.document(error, request_id, statuses));
        let headers = response.headers_mut();
        if let Error::MethodNotAllowed { allow } = error
            && let Ok(allow) = HeaderValue::try_from(allow)
        {
            headers.insert(header::ALLOW, allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = error.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(limit) = error.limit() {
            rate_limit::show(limit, headers);
            if self.is_openai() {
                rate_limit::show_as_openai(limit, headers);
            }
        }
        if self.is_final(error, status) {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }

    /// Returns true if a client would retry this failure in vain unless the `x-should-retry` header
    /// tells it not to. OpenAI's and Anthropic's SDKs retry each 429 and each 5xx, and Claude Code
    /// also retries other refusals.
    fn is_final(self, error: &Error, status: StatusCode) -> bool {
        let is_denied = *error == Error::AiDenied;
        match self {
            Self::Anthropic => {
                is_denied || (status.is_client_error() && !anthropic::helps_to_retry(status))
            }
            _ => self.is_openai() && (is_denied || is_out_of_credits(error)),
        }
    }

    /// Returns the name of a prompt's field in the API that uses this failure format.
    fn field(self, name: &str) -> &str {
        match (self, name) {
            (Self::Responses, "messages") => "input",
            (Self::Responses, "response_format") => "text.format",
            (Self::Responses, "reasoning_effort") => "reasoning.effort",
            (Self::Responses, "verbosity") => "text.verbosity",
            (Self::OpenAi, "thinking") => "reasoning.max_tokens",
            (Self::TextCompletions, "messages") => "prompt",
            (Self::Anthropic, "parallel_tool_calls") => "tool_choice.disable_parallel_tool_use",
            (Self::Anthropic, "reasoning_effort") => "output_config.effort",
            (Self::Anthropic, "response_format") => "output_config.format",
            (Self::Anthropic, "stop") => "stop_sequences",
            (_, name) => name,
        }
    }
}

/// Returns the 404 reply with this page from [`Route::page`](super::Route::page). `base` is the
/// prefix of this API's paths.
pub(crate) fn not_found(page: &str, base: &str) -> Response<Body> {
    // `base` comes from the gateway and contains the stage name.
    let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    let base = if base.bytes().all(is_path) { base } else { "" };
    let page = page.replace("\"./", &format!("\"{base}/"));
    let mut response = response(StatusCode::NOT_FOUND, PAGE, page);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin, Accept"));
    response
}

/// A failure, as a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem<'a> {
    /// Always `about:blank`, because the status alone is the type of the problem.
    r#type: &'static str,
    /// The HTTP status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// A sentence for human readers that says what happened and what to do.
    detail: String,
    /// The failure's machine-readable code. Codes never change.
    code: &'static str,
    /// The id of this request in the log.
    request_id: &'a str,
    /// For each invalid field, sentences that say what to change in the request. Present only with
    /// the code `invalid_fields`, and for old clients also if a name or address is taken or
    /// credentials are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = std::collections::BTreeMap<String, Vec<String>>)]
    errors: Option<&'a FieldErrors>,
    /// The balance. Present only with the code `insufficient_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    tokens_left: Option<Credits>,
    /// The tokens that are held for messages whose answers aren't finished. Present only with the
    /// code `insufficient_tokens`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    tokens_held: Option<Credits>,
    /// The tokens that are enough for a short answer to this message. Present only with the code
    /// `costs_more`, and with `insufficient_tokens` if the price depends on the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    cost: Option<Credits>,
    /// What the prompt usually costs, without the answer. If the server hasn't read the
    /// conversation, what the message and the files usually cost. Present only with `cost`, if the
    /// price depends on the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    prompt: Option<Credits>,
    /// The highest possible price of the message with the longest answer. Present only with
    /// `prompt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    most: Option<Credits>,
    /// The request's `max_cost`. Present only with the code `costs_more`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    max_cost: Option<Credits>,
}

impl<'a> Problem<'a> {
    fn of(error: &'a Error, status: StatusCode, request_id: &'a str) -> Self {
        let (tokens_left, tokens_held) = match error {
            Error::InsufficientTokens { balance, held, .. } => (Some(*balance), Some(*held)),
            _ => (None, None),
        };
        let by_usage = match error {
            Error::InsufficientTokens { by_usage, .. } | Error::CostsMore { by_usage, .. } => {
                *by_usage
            }
            _ => None,
        };
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: error.detail(),
            code: error.code(),
            request_id,
            errors: match error {
                Error::Invalid(fields) => Some(fields),
                _ => None,
            },
            tokens_left,
            tokens_held,
            cost: match error {
                Error::CostsMore { cost, .. }
                | Error::InsufficientTokens { cost, by_usage: Some(_), .. } => Some(*cost),
                _ => None,
            },
            prompt: by_usage.map(|prices| prices.prompt),
            most: by_usage.map(|prices| prices.most),
            max_cost: match error {
                Error::CostsMore { most, .. } => Some(*most),
                _ => None,
            },
        }
    }
}

/// A failure that ends a stream.
#[derive(Debug, Serialize, ToSchema)]
pub struct StreamProblem<'a> {
    /// The failure.
    #[serde(flatten)]
    problem: Problem<'a>,
    /// The seconds to wait before a retry. Null if a retry can't help. Events have no `Retry-After`
    /// header.
    #[schema(required)]
    retry_after: Option<u32>,
}

impl<'a> StreamProblem<'a> {
    pub(super) fn of(error: &'a Error, request_id: &'a str) -> Self {
        let problem = Problem::of(error, error.status(), request_id);
        Self { problem, retry_after: error.retry_after() }
    }
}

/// A failure in OpenAI's format.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiFailure {
    /// The failure.
    pub error: OpenAiError,
}

/// The failure's members in OpenAI's format.
#[derive(Debug, Serialize, ToSchema)]
pub struct OpenAiError {
    /// A sentence for human readers that says what happened and what to do.
    pub message: String,
    /// The kind of failure.
    pub r#type: &'static str,
    /// The name of the invalid field. Null if no single field is the reason.
    #[schema(required)]
    pub param: Option<String>,
    /// The failure's machine-readable code.
    pub code: &'static str,
}

impl OpenAiFailure {
    /// Creates a failure in OpenAI's format. The `code` is OpenAI's if there is one for this
    /// failure, otherwise Farebox's. For invalid fields, uses the names in the API that the
    /// `failures` format belongs to.
    pub fn of(error: &Error, failures: FailureFormat) -> Self {
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
            Error::PromptTooLong(_) => (error.detail(), Some(failures.field("messages").into())),
            Error::TextTooLong(_) | Error::NoSuchItem(_) => (error.detail(), Some("input".into())),
            // OpenAI's format can report only one invalid field.
            Error::Invalid(fields) => fields.first().map_or_else(
                || (error.detail(), None),
                |(field, sentence)| {
                    let name = failures.field(field);
                    let sentence = sentence.strip_prefix(field).unwrap_or(&sentence);
                    (format!("{name}{sentence}"), Some(name.to_owned()))
                },
            ),
            _ => (error.detail(), None),
        };
        Self { error: OpenAiError { message, r#type, param, code } }
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
    use utoipa::PartialSchema;

    use super::*;
    use crate::error::TokenFault;

    const STATUSES: ClientStatuses = ClientStatuses { message: 201, balance: 403, login: 400 };

    fn read(format: FailureFormat, error: &Error) -> serde_json::Value {
        serde_json::from_str(&format.document(error, "r", ClientStatuses::default())).unwrap()
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

    fn status(format: FailureFormat, error: &Error, statuses: ClientStatuses) -> u16 {
        format.reply(error, "r", statuses).status().as_u16()
    }

    #[test]
    fn simplejwt_clients_get_its_code_and_invalid_fields() {
        let read = |error: &Error| read(FailureFormat::Simplejwt, error);
        let of = Error::InvalidToken;
        let invalid = read(&of(TokenFault::Unknown));
        for (fault, detail) in [
            (TokenFault::Unknown, "Token is invalid"),
            (TokenFault::Expired, "Token is expired"),
            (TokenFault::OtherType, "Token has wrong type"),
            (TokenFault::Ended, "Token is blacklisted"),
        ] {
            let refused = read(&of(fault));
            assert_eq!([&refused["code"], &refused["detail"]], ["token_not_valid", detail]);
        }
        let wrong = read(&Error::InvalidCredentials);
        assert_eq!(wrong["detail"], "No active account found with the given credentials");
        assert_eq!([&invalid["request_id"], &invalid["title"]], ["r", "Unauthorized"]);
        let missing = read(&Error::field("token", "This field is required."));
        assert_eq!(missing["token"], serde_json::json!(["This field is required."]));
        assert_eq!(missing["errors"]["token"], missing["token"]);
        let ended = read(&Error::TokenBlacklisted);
        assert_eq!(ended["non_field_errors"], serde_json::json!(["Token is blacklisted"]));
        for (error, expected) in [(of(TokenFault::Unknown), 401), (Error::TokenBlacklisted, 400)] {
            assert_eq!(status(FailureFormat::Simplejwt, &error, STATUSES), expected);
        }
    }

    #[test]
    fn django_clients_read_lists_that_replace_nothing() {
        let problem = serde_json::to_value(<Problem as PartialSchema>::schema()).unwrap();
        let members = problem["properties"].as_object().unwrap().keys().map(String::as_str);
        let mut fields = FieldErrors::default();
        for name in members.clone().chain(["message", "error", "messages"]) {
            fields.note(name, "This is wrong.");
        }
        let invalid = fields.into_error();
        for format in [FailureFormat::Simplejwt, FailureFormat::SimplejwtGuarded] {
            let document = read(format, &invalid);
            assert_eq!(document["message"], serde_json::json!(["This is wrong."]));
            assert_eq!(document["error"], document["detail"]);
            for name in members.clone().filter(|name| *name != "errors") {
                assert!(!document[name].is_array(), "{name} of {document}");
            }
            assert_eq!([&document["title"], &document["code"]], ["Bad Request", "invalid_fields"]);
            assert_eq!(
                (&document["status"], &document["type"]),
                (&400.into(), &"about:blank".into())
            );
            assert_eq!(document["errors"]["title"], serde_json::json!(["This is wrong."]));
        }
        let taken = read(FailureFormat::Simplejwt, &Error::UsernameTaken);
        assert_eq!(taken["username"], serde_json::json!([taken["detail"]]));
        assert_eq!((&taken["status"], &taken["code"]), (&400.into(), &"username_taken".into()));
        let refused = read(FailureFormat::Simplejwt, &Error::InvalidCredentials);
        assert_eq!(refused["non_field_errors"], serde_json::json!([refused["detail"]]));
    }

    #[test]
    fn client_statuses_change_only_what_the_setting_names() {
        let out = out_of_tokens(None);
        use FailureFormat::{OpenAi, Problem, Simplejwt, SimplejwtGuarded};
        for (format, error, usual, set) in [
            (SimplejwtGuarded, &out, 402, 403),
            (Problem, &out, 402, 402),
            (OpenAi, &out, 402, 402),
            (Simplejwt, &Error::InvalidCredentials, 401, 400),
            (Simplejwt, &Error::EmailTaken, 400, 400),
            (SimplejwtGuarded, &Error::EmailTaken, 409, 409),
            (SimplejwtGuarded, &Error::NotAuthenticated, 401, 401),
        ] {
            assert_eq!(status(format, error, ClientStatuses::default()), usual, "{error:?}");
            assert_eq!(status(format, error, STATUSES), set, "{error:?}");
        }
        let document = SimplejwtGuarded.document(&out, "r", STATUSES);
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        assert_eq!((&document["status"], &document["title"]), (&403.into(), &"Forbidden".into()));
    }

    #[test]
    fn simplejwt_clients_get_its_refusals_of_access_tokens() {
        let read = |error: &Error| read(FailureFormat::SimplejwtGuarded, error);
        let expired = read(&Error::InvalidToken(TokenFault::Expired));
        assert_eq!(expired["code"], "token_not_valid");
        assert_eq!(expired["detail"], "Given token not valid for any token type");
        let access = serde_json::json!({ "token_class": "AccessToken", "token_type": "access", "message": "Token is expired" });
        assert_eq!(expired["messages"], serde_json::json!([access]));
        let header = read(&Error::InvalidToken(TokenFault::Header));
        assert_eq!(header["code"], "bad_authorization_header");
        let two = "Authorization header must contain two space-delimited values";
        assert_eq!((&header["detail"], header.get("messages")), (&two.into(), None));
        let missing = read(&Error::NotAuthenticated);
        assert_eq!(missing["detail"], "Authentication credentials were not provided.");
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
                Error::TooManyChats(crate::values::Limit::at_once("chats", 1)),
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
            assert_eq!(self::status(FailureFormat::OpenAi, &error, STATUSES), status, "{error:?}");
            let failure = OpenAiFailure::of(&error, FailureFormat::OpenAi).error;
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
            let message = OpenAiFailure::of(&error, FailureFormat::OpenAi).error.message;
            assert!(message.starts_with(words), "{message}");
        }
        for (failures, field, name) in [
            (FailureFormat::OpenAi, "messages", "messages"),
            (FailureFormat::OpenAi, "response_format", "response_format"),
            (FailureFormat::Responses, "messages", "input"),
            (FailureFormat::Responses, "response_format", "text.format"),
            (FailureFormat::Responses, "reasoning_effort", "reasoning.effort"),
            (FailureFormat::Responses, "verbosity", "text.verbosity"),
            (FailureFormat::OpenAi, "thinking", "reasoning.max_tokens"),
            (FailureFormat::Responses, "tools", "tools"),
            (FailureFormat::TextCompletions, "messages", "prompt"),
            (FailureFormat::TextCompletions, "seed", "seed"),
            (FailureFormat::Responses, "input[0].content", "input[0].content"),
        ] {
            let failure = OpenAiFailure::of(&Error::field(field, "None."), failures).error;
            assert_eq!(failure.param.as_deref(), Some(name));
            assert_eq!(failure.message, format!("{name}: None."));
        }
        let model = OpenAiFailure::of(&Error::NoSuchModel(None), FailureFormat::Responses).error;
        assert_eq!(model.param.as_deref(), Some("model"));
        let advised = OpenAiFailure::of(&out, FailureFormat::Responses).error;
        assert!(
            advised.message.ends_with(" Nothing was charged. Get more: https://shop.example.com")
        );
        let too_long =
            OpenAiFailure::of(&Error::PromptTooLong(None), FailureFormat::Responses).error;
        assert_eq!(too_long.param.as_deref(), Some("input"));
        for error in [out.clone(), Error::OutOfQuota(Box::new(out.clone())), Error::AiDenied] {
            let reply = FailureFormat::OpenAi.reply(&error, "r", STATUSES);
            assert_eq!(reply.headers()["x-should-retry"], "false");
            assert!(!reply.headers().contains_key(header::RETRY_AFTER));
        }
        let reply = FailureFormat::Problem.reply(&out, "r", STATUSES);
        assert!(!reply.headers().contains_key("x-should-retry"));
    }
}
