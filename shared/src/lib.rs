//! How the endpoints do what they do: everything that two of them need. Knows no route.
//!
//! In reading order: [`app`] is what a handler is given, [`config`] where its settings come from,
//! [`aws`] and [`clock`] what it stands on, [`http`] and [`error`] what goes in and out, [`stream`]
//! what goes out piece by piece, [`cursor`] and [`idempotency`] how pages and repeated requests are
//! told, [`limit`] how limits are shown, [`statement`] what a ledger comes to, [`secret`] where
//! secrets are read, [`lambda`] the start of a function, [`openapi`] what its document says of what
//! several endpoints have; [`user`], [`tokens`] and [`chat`] are the product's nouns;
//! [`auth`] makes and checks passwords and tokens, [`ai`] answers messages, [`charge`] takes what
//! that costs, [`mail`] carries mails, [`store`] is the only door to DynamoDB.

pub mod app;
pub mod aws;
pub mod clock;
pub mod config;
pub mod edge;
pub mod error;
pub mod http;
pub mod lambda;
pub mod openapi;
pub mod secret;
pub mod stream;

pub mod chat;
pub mod cursor;
pub mod idempotency;
pub mod limit;
pub mod statement;
pub mod tokens;
pub mod user;
pub mod view;

pub mod ai;
pub mod auth;
pub mod charge;
pub mod mail;
pub mod store;

pub use crate::http::{Reply, Request};
pub use app::App;
pub use error::{Error, Result};
pub use tokens::{Change, Tokens};
