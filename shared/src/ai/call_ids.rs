//! Ids of function calls for providers that are strict about them.

use std::collections::HashMap;

/// Replaces call ids with ids that Anthropic and Bedrock accept. Ids from other providers may be
/// too long for them, occur twice, or contain characters that they refuse.
#[derive(Default)]
pub(super) struct CallIds<'p> {
    /// The number of the last call with each id.
    numbers: HashMap<&'p str, usize>,
    count: usize,
}

impl<'p> CallIds<'p> {
    /// Returns the id of the next call.
    pub(super) fn of_call(&mut self, id: &'p str) -> String {
        self.count += 1;
        self.numbers.insert(id, self.count);
        self.of_result(id)
    }

    /// Returns the id of the call that a result belongs to.
    pub(super) fn of_result(&self, id: &str) -> String {
        format!("call_{}", self.numbers.get(id).copied().unwrap_or_default())
    }
}
