//! Work that no request asks for: a schedule or the stream of the table Tokens invokes it.

pub mod census;
pub mod erase;
pub mod mail;
pub mod sweep;

/// The names of these functions.
pub const NAMES: &[&str] = &["sweep", "erase", "census", "mail"];
