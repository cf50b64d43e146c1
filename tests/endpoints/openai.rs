//! The endpoints of OpenAI's API, under `/v1`.

pub mod completions;
pub mod fares;
mod limits;
pub mod responses;
mod text_completions;
