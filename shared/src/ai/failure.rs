//! Why a provider didn't answer: what the log and traces say of it, and what the client is told.

use super::Cut;
use crate::Error;

/// Why a provider didn't answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It refused, or its answer is invalid, incomplete or empty.
    Failed(String),
    /// It is overloaded.
    Overloaded,
    /// It was too slow.
    TimedOut,
    /// Its answer is cut off here, for this reason.
    Cut(Cut),
}

impl Failure {
    pub(super) fn failed(cause: impl Into<String>) -> Self {
        Self::Failed(cause.into())
    }

    /// For the log.
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Failed(cause) => cause,
            Self::Overloaded => "overloaded",
            Self::TimedOut => "too slow",
            Self::Cut(Cut::Length) => "the answer is over the limit",
            Self::Cut(Cut::ContentFilter) => "refused by the provider's filter",
        }
    }

    /// Its kind, for traces.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Failed(_) => "failed",
            Self::Overloaded => "overloaded",
            Self::TimedOut => "timeout",
            Self::Cut(cut) => cut.word(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Failed(_) | Failure::Cut(_) => Self::AiFailed,
            Failure::Overloaded => Self::AiOverloaded,
            Failure::TimedOut => Self::AiTimedOut,
        }
    }
}
