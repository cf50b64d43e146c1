//! The endpoints of OpenAI's API, under `/v1`.

pub mod completions;
mod embeddings;
pub mod fares;
mod limits;
pub mod order;
mod references;
pub mod responses;
mod text_completions;
