//! The items that identify callers: sessions, API keys, e-mailed links, and the public keys that
//! verify JWTs. The outbox is part of this module, because it sends the links.

pub(in crate::store) mod api_keys;
pub(in crate::store) mod links;
pub(in crate::store) mod outbox;
pub(in crate::store) mod public_keys;
mod purses;
pub(in crate::store) mod sessions;

pub use links::{Link, Purpose};
pub use outbox::OutgoingEmail;
pub use public_keys::PublicKey;
pub(in crate::store) use purses::Purses;
pub use sessions::{Ending, Rotation};
