//! Background functions. A schedule or the stream of the Tokens table invokes these functions.

pub mod census;
pub mod erase;
pub mod mail;
pub mod payments_check;
pub mod sweep;

/// The names of the background functions.
pub const NAMES: &[&str] = &["sweep", "erase", "census", "payments_check", "mail"];
