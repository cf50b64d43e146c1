//! Shared chats.

pub mod shares;
