//! Every failure that a client can get, with its status, its code for programs and its sentence for
//! people.
//!
//! A handler returns a failure where it happens. [`crate::http::edge`] logs the failure and
//! [`crate::http`] renders it, each in one place.

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

/// For each invalid field, sentences that say what to change in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Returns the value if it is valid. If the value is invalid, notes the reason for the field
    /// and returns `None`.
    pub fn check<T>(&mut self, field: &str, value: Result<T, impl Into<String>>) -> Option<T> {
        value.map_err(|sentence| self.note(field, sentence)).ok()
    }

    /// Converts the problems of a list into errors of the request's field `within`.
    pub fn of(problems: Vec<Problem>, within: &str) -> Self {
        let mut errors = Self::default();
        for Problem { field, sentence } in problems {
            let names = [within, &field].into_iter().filter(|name| !name.is_empty());
            errors.note(&names.collect::<Vec<_>>().join("."), sentence);
        }
        errors
    }

    /// Returns the error of a single field.
    fn one(field: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self(BTreeMap::from([(field.into(), vec![sentence.into()])]))
    }

    /// Notes what is wrong with a field.
    pub fn note(&mut self, field: &str, sentence: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(sentence.into());
    }

    /// Returns all noted fields as a failure.
    pub fn into_error(self) -> Error {
        Error::Invalid(self)
    }

    /// Returns true if no field was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first invalid field, and a sentence that says what to change in it.
    pub fn first(&self) -> Option<(&str, String)> {
        self.0
            .iter()
            .next()
            .map(|(field, sentences)| (field.as_str(), format!("{field}: {}", sentences.join(" "))))
    }

    fn summary(&self) -> String {
        match self.first() {
            Some((_, sentence)) if self.0.len() == 1 => sentence,
            _ => "Some fields are invalid; see errors.".into(),
        }
    }
}

/// Returns the value of a required field. Fails if the field is missing or empty.
pub fn required(value: Option<String>) -> Result<String, Invalid> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| REQUIRED.into())
}

/// Parses the last day on which something is valid, and returns the second at which the day ends.
pub fn last_day(text: &str, now: u64) -> Result<u64, Invalid> {
    let end = Day::end_of(text, now);
    end.ok_or_else(|| "Enter today or a later day, such as 2027-03-31.".into())
}

/// The length of a prompt and the limit in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The prompt's length in bytes.
    pub bytes: usize,
    /// The limit in bytes.
    pub most: usize,
}

/// The next time at which a balance is filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextAllowance {
    /// The credits up to which the balance is filled.
    pub tokens: Credits,
    /// The first day of the next period.
    pub day: Day,
}

/// Why a token is invalid. Only clients of djangorestframework-simplejwt are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The token isn't one of this API's, or the reason isn't known.
    Unknown,
    /// The token has expired.
    Expired,
    /// The token is of another type than the endpoint needs.
    OtherType,
    /// The refresh token's session has ended, or a later refresh token has replaced it.
    Ended,
    /// The header `Authorization` contains a known scheme, but not exactly one token.
    Header,
}

/// The settings that the examples of failures mention.
#[derive(Clone, Copy, Debug)]
pub struct ExampleSettings<'s> {
    /// The settings of charges.
    pub config: &'s Config,
    /// The settings of registration and log-in.
    pub accounts: &'s AccountConfig,
    /// The settings of the checks that every request passes.
    pub edge: &'s EdgeConfig,
}

impl Failure {
    /// Returns every failure.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }

    /// Returns the failure's name, by which the examples in the OpenAPI document are sorted.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the HTTP status.
    pub fn status(self) -> StatusCode {
        // A test checks the statuses in the table.
        StatusCode::from_u16(self.status_and_code().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Returns the code for programs. Codes never change.
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

/// Converts a price that is above the request's `max_cost`.
impl From<CostsMore> for Error {
    fn from(CostsMore { cost, most }: CostsMore) -> Self {
        Self::CostsMore { cost, most }
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

    /// Adds the operator's advice to [`Error::InsufficientTokens`]. Other failures stay unchanged.
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

    /// Returns the code for programs. Codes never change.
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

    /// Returns the seconds to wait before a retry. `None` if a retry wouldn't help.
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
