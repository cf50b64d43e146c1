//! Failures as problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use serde::Serialize;
use utoipa::ToSchema;

use super::Failures;
use crate::config::ClientStatuses;
use crate::error::FieldErrors;
use crate::http::reply::to_json;
use crate::http::{HeaderValue, StatusCode};
use crate::{Credits, Error, Result};

pub(super) const CONTENT_TYPE: HeaderValue =
    HeaderValue::from_static("application/problem+json; charset=utf-8");

/// Problem documents without other members.
pub const PROBLEMS: &dyn Failures = &Problems;

struct Problems;

impl Failures for Problems {
    fn name(&self) -> &'static str {
        ""
    }

    fn document(&self, error: &Error, request_id: &str, _: ClientStatuses) -> Result<String> {
        to_json(&Problem::of(error, error.status(), request_id))
    }
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
    pub detail: String,
    /// The failure's machine-readable code. Codes never change.
    pub code: &'static str,
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
    /// Returns the document of a reply with this status.
    pub fn of(error: &'a Error, status: StatusCode, request_id: &'a str) -> Self {
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

impl StreamProblem<'_> {
    pub(super) fn data(error: &Error, request_id: &str) -> Result<String> {
        let problem = Problem::of(error, error.status(), request_id);
        to_json(&StreamProblem { problem, retry_after: error.retry_after() })
    }
}
