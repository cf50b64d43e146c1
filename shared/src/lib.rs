//! How the endpoints do what they do: everything that two of them need. Knows no route.
//!
//! In reading order: [`app`] is what a handler is given, [`config`] where its settings come from, [`aws`] and [`clock`] what it stands on,
//! [`http`] and [`error`] what goes in and out, [`stream`] what goes out piece by piece, [`cursor`] and [`idempotency`] how pages and repeated requests are told, [`limit`] how limits are shown, [`lambda`] the start of a function; [`user`], [`tokens`] and [`chat`] are the product's nouns;
//! [`auth`] makes and checks passwords and tokens, [`ai`] answers messages, [`mail`] carries mails, [`store`] is the only door to DynamoDB.

pub mod app;
pub mod aws;
pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod lambda;
pub mod stream;

pub mod chat;
pub mod cursor;
pub mod idempotency;
pub mod limit;
pub mod tokens;
pub mod user;

pub mod ai;
pub mod auth;
pub mod mail;
pub mod store;

pub use app::App;
pub use error::{Error, Result};
pub use http::{Reply, Request};
pub use tokens::{Change, Tokens};
