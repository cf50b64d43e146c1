//! Functions that events invoke instead of requests.

pub mod mail;
