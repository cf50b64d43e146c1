//! The endpoints of Anthropic's API, under `/v1/messages`.

pub mod blocks;
pub mod count_tokens;
pub mod messages;
pub mod streams;
