//! The endpoints, in the rooms that `functions/src` has, except what `portable` has of them.

pub mod account;
pub mod admin;
pub mod auth;
pub mod background;
pub mod chats;
pub mod openai;
pub mod service;
