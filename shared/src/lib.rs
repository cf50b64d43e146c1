//! Everything that several endpoints need. Knows no route.
//!
//! Each module imports only from those above it in this list:
//!
//! - [`values`]: what the product speaks of; [`clock`], [`aws`], [`telemetry`], [`config`];
//! - [`store`], the only door to DynamoDB, and [`keys`], which sign and verify tokens;
//! - [`error`], the failures that clients meet, and [`http`], how they and replies are written;
//! - [`passwords`], [`mail`] and [`ai`];
//! - [`app`], what a handler needs; [`auth`], which identifies the caller;
//! - [`view`] and [`statement`], replies that endpoints share; [`openapi`]; [`lambda`], the start of
//!   a function;
//! - [`charge`], a message from the hold to the settlement.

pub mod ai;
pub mod app;
pub mod auth;
pub mod aws;
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
pub mod statement;
pub mod store;
pub mod telemetry;
pub mod values;
pub mod view;

pub use crate::http::{Reply, Request};
pub use app::App;
pub use error::{Error, Result};
pub use values::{BalanceChange, Credits};
