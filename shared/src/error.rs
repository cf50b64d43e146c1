//! Every failure that can be returned to a client, with its status, its machine-readable code and
//! its human-readable message.
//!
//! A handler returns a failure where it occurs. All failures are logged in [`crate::http::edge`]
//! and rendered in [`crate::http`].

mod failures;
mod sentences;

use std::collections::BTreeMap;
use std::fmt;

use http::StatusCode;
use serde::Serialize;
use strum::VariantArray;

pub use failures::{Error, Failure};

use crate::clock::Day;
use crate::config::{AccountConfig, Config, EdgeConfig};
pub use crate::values::REQUIRED;
use crate::values::{CostsMore, Credits, Invalid, Limit, Problem};

/// The result of an operation that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The invalid fields. Each has sentences that say what to change in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Returns the value if it is valid. Otherwise adds the reason to the field's errors and
    /// returns `None`.
    pub fn check<T>(&mut self, field: &str, value: Result<T, impl Into<String>>) -> Option<T> {
        value.map_err(|sentence| self.note(field, sentence)).ok()
    }

    /// Converts a list's problems into errors for the request field `within`.
    pub fn from_problems(problems: Vec<Problem>, within: &str) -> Self {
        let mut errors = Self::default();
        for Problem { field, sentence } in problems {
            let names = [within, &field].into_iter().filter(|name| !name.is_empty());
            errors.note(&names.collect::<Vec<_>>().join("."), sentence);
        }
        errors
    }

    /// Creates an error for a single field.
    fn one(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self(BTreeMap::from([(field.into(), vec![sentence.into()])]))
    }

    /// Adds an error for a field.
    pub fn note(&mut self, field: &str, sentence: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(sentence.into());
    }

    /// Converts the errors into a failure that contains all of them.
    pub fn into_error(self) -> Error {
        Error::Invalid(self)
    }

    /// Returns true if there are no errors.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first invalid field, and a sentence that says what to change in it.
    pub fn first(&self) -> Option<(&str, String)> {
        self.sentences().next()
    }

    /// Returns the invalid fields, each with a sentence that says what to change in it.
    pub fn sentences(&self) -> impl Iterator<Item = (&str, String)> {
        self.0
            .iter()
            .map(|(field, sentences)| (field.as_str(), format!("{field}: {}", sentences.join(" "))))
    }

    fn summary(&self) -> String {
        match self.first() {
            Some((_, sentence)) if self.0.len() == 1 => sentence,
            _ => "Some fields are invalid; see errors.".into(),
        }
    }
}

/// Returns the value of a required field. Returns an error if the field is missing or empty.
pub fn required(value: Option<String>) -> Result<String, Invalid> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| REQUIRED.into())
}

/// Parses the last day on which something is valid. Returns when the day ends, in seconds since
/// 1970.
pub fn last_day(text: &str, now: u64) -> Result<u64, Invalid> {
    let end = Day::end_of(text, now);
    end.ok_or_else(|| "Enter today or a later day, such as 2027-03-31.".into())
}

/// The length of a prompt, and the configured limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The prompt's length in bytes.
    pub bytes: usize,
    /// The limit in bytes.
    pub most: usize,
}

/// When a balance is topped up next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextAllowance {
    /// The balance to which the account is topped up.
    pub tokens: Credits,
    /// The first day of the next period.
    pub day: Day,
}

/// Why a token is invalid. Only clients of djangorestframework-simplejwt get this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// This API didn't issue the token, or the reason is unknown.
    Unknown,
    /// The token has expired.
    Expired,
    /// The endpoint needs a different type of token.
    OtherType,
    /// The refresh token's session has ended, or a later refresh token has replaced it.
    Ended,
    /// The `Authorization` header contains a known scheme, but not exactly one token.
    Header,
}

/// The settings whose values appear in the failures' examples.
#[derive(Clone, Copy, Debug)]
pub struct ExampleSettings<'s> {
    /// The settings for charges.
    pub config: &'s Config,
    /// The settings for registering and logging in.
    pub accounts: &'s AccountConfig,
    /// The settings for the checks that every request must pass.
    pub edge: &'s EdgeConfig,
}

impl Failure {
    /// Returns every failure.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }

    /// Returns the failure's name. The examples in the OpenAPI document are sorted by this name.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the HTTP status.
    pub fn status(self) -> StatusCode {
        // A test checks the statuses in the table.
        StatusCode::from_u16(self.status_and_code().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the machine-readable code. Codes never change.
    pub fn code(self) -> &'static str {
        self.status_and_code().1
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for Error {}

/// Converts the error for a price above the request's `max_cost`.
impl From<CostsMore> for Error {
    fn from(CostsMore { cost, most }: CostsMore) -> Self {
        Self::CostsMore { cost, most, by_usage: None }
    }
}

/// Converts the error that is returned if the operating system can't provide random bytes.
impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Internal("no randomness".into())
    }
}

impl Error {
    /// Creates a failure for a single invalid field.
    pub fn field(name: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors::one(name, sentence))
    }

    /// Adds the operator's advice to [`Error::InsufficientTokens`]. Other failures aren't changed.
    #[must_use]
    pub fn advised(self, advice: Option<String>) -> Self {
        match self {
            Self::InsufficientTokens { cost, balance, held, by_usage, next, .. } => {
                Self::InsufficientTokens { cost, balance, held, by_usage, next, advice }
            }
            other => other,
        }
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> Failure {
        self.into()
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind().status()
    }

    /// Returns the machine-readable code. Codes never change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfQuota(empty) => empty.code(),
            _ => self.kind().code(),
        }
    }

    /// Returns the sentence for people, which says what happened and what to do.
    pub fn detail(&self) -> String {
        self.sentence().into_owned()
    }

    /// Returns how many seconds to wait before a retry, or `None` if a retry wouldn't help.
    pub fn retry_after(&self) -> Option<u32> {
        let of_limit = |limit: &Limit| u32::try_from(limit.reset).unwrap_or(u32::MAX);
        self.retry().or_else(|| self.limit().map(of_limit))
    }

    /// Logs the cause, if there is one.
    pub fn log(&self) {
        if let Some(cause) = self.cause() {
            tracing::error!(code = self.code(), cause, "request failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_in_the_table_are_those_of_failures() {
        for failure in Failure::all() {
            let status = failure.status();
            assert!(status.is_client_error() || status.is_server_error(), "{failure:?}");
            assert_eq!(status.as_u16(), failure.status_and_code().0, "{failure:?}");
        }
    }
}
