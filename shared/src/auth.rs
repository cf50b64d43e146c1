//! Who is calling: passwords at the log-in, access tokens on every call, refresh tokens in between,
//! device tokens beyond sessions, the keys that sign all three, the tokens of mailed links, and the
//! API keys of programs. Each is a value in a file of its own; `guard.rs` asks who a request's caller
//! is, and `issue.rs` gives a caller tokens.

pub mod access_token;
pub mod api_key;
pub mod device_token;
mod guard;
mod issue;
pub mod keys;
pub mod link_token;
pub mod password;
pub mod refresh_token;
mod token;

pub use access_token::AccessToken;
pub use api_key::ApiKey;
pub use device_token::DeviceToken;
pub use guard::{Administrator, administrator, caller, confirm, program};
pub use issue::{SessionTokens, TokenPair, hand_out, issue};
pub use keys::{Keyring, Signer};
pub use link_token::LinkToken;
pub use password::{NewPassword, Passwords};
pub use refresh_token::RefreshToken;
pub(crate) use token::LEEWAY;
