//! Ids of function calls, in a form that the provider accepts.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::ai::Prompt;
use crate::values::call_id::{is_plain, is_short, short};

/// The ids that a provider accepts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AcceptedIds {
    /// Any.
    Any,
    /// At most 40 characters (OpenAI).
    AtMost40,
    /// Nine letters and digits (Mistral).
    Short,
    /// Letters, digits, underscores and hyphens. No two calls in a prompt have the same id
    /// (Anthropic and Bedrock).
    PlainAndUnique,
}

/// Replaces the ids that the provider doesn't accept, or that another provider or model may have
/// given. A replacement depends only on the call, so the provider finds the same prompt in its cache
/// again.
pub(super) struct CallIds<'p> {
    accepted: AcceptedIds,
    /// True if all ids are replaced.
    replaces_all: bool,
    /// The number of calls with each id so far.
    numbers: HashMap<&'p str, usize>,
}

impl<'p> CallIds<'p> {
    pub(super) fn of(prompt: &Prompt, accepted: AcceptedIds) -> Self {
        Self { accepted, replaces_all: prompt.has_foreign_ids, numbers: HashMap::new() }
    }

    /// Returns the id of the next call.
    pub(super) fn of_call(&mut self, id: &'p str) -> Cow<'p, str> {
        *self.numbers.entry(id).or_default() += 1;
        self.of_result(id)
    }

    /// Returns the id of the call that a result belongs to.
    pub(super) fn of_result(&self, id: &'p str) -> Cow<'p, str> {
        let number = self.numbers.get(id).copied().unwrap_or(1);
        let is_accepted = match self.accepted {
            AcceptedIds::Any => true,
            AcceptedIds::AtMost40 => id.chars().count() <= 40,
            AcceptedIds::Short => is_short(id),
            AcceptedIds::PlainAndUnique => is_plain(id) && number == 1,
        };
        match is_accepted && !self.replaces_all {
            true => Cow::Borrowed(id),
            false => Cow::Owned(short(id, number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_a_provider_refuses_are_replaced() {
        let long = "x".repeat(41);
        let ids = ["a", "a.b", "call_0123", "abcdefghi", long.as_str()];
        for (accepted, kept) in [
            (AcceptedIds::Any, &[0, 1, 2, 3, 4][..]),
            (AcceptedIds::AtMost40, &[0, 1, 2, 3]),
            (AcceptedIds::Short, &[3]),
            (AcceptedIds::PlainAndUnique, &[0, 2, 3, 4]),
        ] {
            for has_foreign_ids in [false, true] {
                let prompt = Prompt { has_foreign_ids, ..Prompt::default() };
                let mut sent = CallIds::of(&prompt, accepted);
                for (place, id) in ids.into_iter().enumerate() {
                    let sent = sent.of_call(id);
                    let is_kept = kept.contains(&place) && !has_foreign_ids;
                    assert_eq!((sent == id, is_short(&sent) || is_kept), (is_kept, true), "{id}");
                }
            }
        }
    }

    #[test]
    fn calls_in_different_turns_may_have_the_same_id() {
        for (accepted, is_same) in [(AcceptedIds::Any, true), (AcceptedIds::PlainAndUnique, false)]
        {
            let mut ids = CallIds::of(&Prompt::default(), accepted);
            let first = (ids.of_call("a"), ids.of_result("a"));
            let second = (ids.of_call("a"), ids.of_result("a"));
            assert!(first.0 == first.1 && second.0 == second.1);
            assert_eq!(first.0 == second.0, is_same);
        }
    }
}
