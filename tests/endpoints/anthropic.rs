//! The endpoints of Anthropic's API, under `/v1/messages`.

pub mod blocks;
pub mod caching;
pub mod count_tokens;
pub mod messages;
pub mod order;
pub mod parameters;
pub mod streams;
