//! The endpoints, in the same folders as in `functions/src`. Tests that must also pass behind other
//! gateways are in `portable`.

pub mod account;
pub mod admin;
pub mod anthropic;
pub mod auth;
pub mod background;
pub mod chats;
pub mod failure_formats;
pub mod openai;
pub mod order_of_checks;
pub mod service;
pub mod sharing;
