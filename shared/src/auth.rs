//! Identifies the caller of a request, and issues the tokens of sessions.

mod access_token;
mod attempt;
mod device_token;
mod guard;
mod issue;
mod jwt;
mod refresh_token;

pub use attempt::{CheckedAttempt, attempt};
pub use guard::{administrator, caller, confirm, program};
pub use issue::{SessionTokens, TokenPair, begin_session, issue, issue_pair};
