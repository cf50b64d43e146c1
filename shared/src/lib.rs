//! The code that several endpoints share. This crate doesn't define routes or endpoints.
//!
//! ARCHITECTURE.md assigns these modules to floors. A module imports only from the floors below its
//! own.

pub mod ai;
pub mod app;
pub mod auth;
pub mod aws;
pub mod cache;
pub mod charge;
pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod keys;
pub mod lambda;
pub mod mail;
pub mod openapi;
pub mod passwords;
pub mod payments;
pub mod secrets;
pub mod statement;
pub mod store;
pub mod stripe;
pub mod telemetry;
pub mod values;
pub mod view;

/// The version of this release, from the workspace's `Cargo.toml`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub use crate::http::{Reply, Request};
pub use app::App;
pub use error::{Error, Result};
pub use values::{BalanceChange, Credits};
