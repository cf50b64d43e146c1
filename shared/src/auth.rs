//! Identifies a request's caller, checks passwords, and issues and verifies a session's JWTs.

mod access_token;
mod attempt;
mod device_token;
mod guard;
mod issue;
mod jwt;
mod refresh_token;

pub use attempt::{CheckedAttempt, PasswordOwner, attempt};
pub use guard::{
    administrator, caller, caller_of_old_client, caller_or_visitor, confirm, program,
    program_with_x_api_key,
};
pub use issue::{SessionTokens, TokenPair, begin_session, issue, issue_pair};
