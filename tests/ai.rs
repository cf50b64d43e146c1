//! What the AI's providers are asked, with functions, formats and pictures, and what becomes of their
//! answers and refusals.

pub mod converse;
pub mod pictures;
pub mod prompts;
pub mod providers;
pub mod refusals;
pub mod response_formats;
pub mod tools;
