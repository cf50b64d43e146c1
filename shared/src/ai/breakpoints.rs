//! The cache breakpoints of a prompt.

use crate::ai::Prompt;

impl Prompt {
    /// Returns true if the client asks the provider to write a part of the prompt into its cache.
    pub fn has_cache_breakpoints(&self) -> bool {
        false
    }
}
