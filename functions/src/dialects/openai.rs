//! The parts of requests and replies that OpenAI's APIs share.

pub(crate) mod failures;
pub(crate) mod format;
mod limits;
pub(crate) mod options;
pub(crate) mod reasoning;
