//! Requests to AI providers, with functions, formats and pictures, and how the product handles the
//! providers' answers and refusals.

pub mod answers;
pub mod anthropic;
pub mod converse;
pub mod endings;
pub mod pictures;
pub mod prompts;
pub mod providers;
pub mod recorded_replies;
pub mod refusals;
pub mod response_formats;
pub mod tools;
