//! Everything that several endpoints need. Knows no route.
//!
//! ARCHITECTURE.md has the floors of these modules: each imports only from those below it. At the
//! bottom are amounts, time and limits; above them users and failures, then settings and HTTP, then
//! [`app`], [`auth`] and [`store`]. At the top are [`charge`], the replies ([`view`]), the [`edge`]
//! that every request passes, and the start of a function ([`lambda`]).

pub mod ai;
pub mod app;
pub mod auth;
pub mod aws;
pub mod charge;
pub mod chat;
pub mod clock;
pub mod config;
pub mod cursor;
pub mod edge;
pub mod error;
pub mod fare;
pub mod http;
pub mod idempotency;
pub mod lambda;
pub mod limit;
pub mod mail;
pub mod metrics;
pub mod openapi;
pub mod secret;
pub mod statement;
pub mod store;
pub mod stream;
pub mod tokens;
pub mod trace;
pub mod user;
pub mod view;

pub use crate::http::{Reply, Request};
pub use app::App;
pub use error::{Error, Result};
pub use tokens::{Change, Tokens};
