//! Identifies the caller of a request, and issues the tokens of sessions.

mod access_token;
mod device_token;
mod guard;
mod issue;
mod refresh_token;
mod token;

pub use guard::{administrator, caller, confirm, program};
pub use issue::{SessionTokens, TokenPair, hand_out, issue};
