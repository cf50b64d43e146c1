//! Authentication: passwords for the log-in, access tokens for every request, refresh tokens for
//! new access tokens, device tokens that outlive sessions, the keys that sign all three, the tokens
//! of e-mailed links, and API keys. Each is a value in a file of its own; `guard.rs` identifies the
//! caller of a request, and `issue.rs` issues the tokens of a session.

pub mod access_token;
pub mod api_key;
mod credential;
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
pub use credential::Credential;
pub use device_token::DeviceToken;
pub use guard::{Administrator, administrator, caller, confirm, program};
pub use issue::{SessionTokens, TokenPair, hand_out, issue};
pub use keys::{Keyring, Signer};
pub use link_token::LinkToken;
pub use password::{NewPassword, Passwords};
pub use refresh_token::RefreshToken;
pub(crate) use token::LEEWAY;
