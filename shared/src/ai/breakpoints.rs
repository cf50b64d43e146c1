//! The cache breakpoints of a prompt. A breakpoint asks the provider to cache the prompt up to this
//! position. Breakpoints don't change the answer, so providers without such caches don't get them.

use crate::ai::Prompt;
use crate::values::CacheTtl;

/// The maximum number of breakpoints that Anthropic and Bedrock accept in a request.
const MOST: usize = 4;

/// Counts the breakpoints of a request. If there are too many, only the last ones are sent, because
/// a later breakpoint also covers what precedes it.
pub(super) struct Breakpoints {
    excess: usize,
}

impl Breakpoints {
    pub(super) fn of(prompt: &Prompt) -> Self {
        Self { excess: prompt.cache_breakpoints().saturating_sub(MOST) }
    }

    /// Returns the next breakpoint, unless too many follow. Functions come first, and then the
    /// turns.
    pub(super) fn next(&mut self, cache: Option<CacheTtl>) -> Option<CacheTtl> {
        let cache = cache?;
        if self.excess > 0 {
            self.excess -= 1;
            return None;
        }
        Some(cache)
    }
}

impl Prompt {
    /// Returns true if the client asks the provider to cache a part of the prompt.
    pub fn has_cache_breakpoints(&self) -> bool {
        self.cache_breakpoints() > 0
    }

    /// Returns the prompt for a model that doesn't cache prompts.
    pub(super) fn without_breakpoints(&self) -> Self {
        let mut prompt = self.clone();
        prompt.cache = None;
        prompt.tools.iter_mut().for_each(|tool| tool.cache = None);
        prompt.turns.iter_mut().flat_map(|turn| &mut turn.order).for_each(|mark| mark.cache = None);
        prompt
    }

    /// Returns the number of cache breakpoints.
    pub(super) fn cache_breakpoints(&self) -> usize {
        let of_tools = self.tools.iter().filter_map(|tool| tool.cache);
        let of_turns = self.turns.iter().flat_map(|turn| &turn.order);
        let of_turns = of_turns.filter_map(|mark| mark.cache);
        of_tools.chain(of_turns).chain(self.cache).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ai::Tool;
    use crate::values::{BlockKind, BlockMark, Speaker, Turn};

    #[test]
    fn only_the_last_breakpoints_are_sent() {
        let cache = Some(CacheTtl::OneHour);
        let tool = Tool { name: "f".into(), cache, ..Tool::default() };
        let mark = BlockMark { kind: BlockKind::Content, cache };
        let turn = Turn { order: vec![mark, mark], ..Turn::new(Speaker::User, "hi") };
        let (tools, turns) = (vec![tool], vec![turn.clone(), turn]);
        let prompt = Prompt { tools, turns, cache, ..Prompt::default() };
        let mut breakpoints = Breakpoints::of(&prompt);
        let sent =
            [cache, None, cache, cache, cache].map(|cache| breakpoints.next(cache).is_some());
        assert_eq!(sent, [false, false, false, true, true]);
        assert!(prompt.has_cache_breakpoints());
        assert!(!prompt.without_breakpoints().has_cache_breakpoints());
    }
}
