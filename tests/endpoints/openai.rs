//! `/v1`: OpenAI's API.

pub mod completions;
pub mod responses;
