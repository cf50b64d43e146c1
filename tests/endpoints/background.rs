//! Work that no request asks for.

pub mod mail;
