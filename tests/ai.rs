//! Requests to AI providers, with functions, formats, pictures and files, and how the product
//! handles the providers' answers and refusals.

pub mod answers;
pub mod anthropic;
pub mod converse;
mod embeddings;
pub mod endings;
pub mod files;
pub mod parameters;
pub mod pictures;
pub mod prompts;
pub mod providers;
pub mod reasoning;
pub mod recorded_replies;
pub mod refusals;
mod replays;
pub mod response_formats;
mod returns;
pub mod shown;
pub mod tools;
