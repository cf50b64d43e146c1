//! The order of the blocks in a turn: its reasoning, texts, pictures and calls. With interleaved
//! thinking, Anthropic's models continue a series of calls only if these blocks come back in the
//! order in which they were sent.

use super::{Part, Reasoning, ToolCall, Turn};

/// How long a provider keeps the beginning of a prompt in its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTtl {
    /// Five minutes.
    FiveMinutes,
    /// One hour.
    OneHour,
}

/// A mark for one block of a turn. The block's content is the next item in the turn's list of this
/// kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockMark {
    /// The list that contains the block.
    pub kind: BlockKind,
    /// How long the provider caches the prompt up to the end of this block. `None` if the block
    /// doesn't end with a cache breakpoint.
    pub cache: Option<CacheTtl>,
}

/// A list in a turn. Without an order, the blocks of one list precede those of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockKind {
    /// [`Turn::reasoning`].
    Reasoning,
    /// [`Turn::content`].
    Content,
    /// [`Turn::calls`].
    Call,
}

/// A block of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnBlock<'a> {
    /// A part of the model's reasoning.
    Reasoning(&'a Reasoning),
    /// A text or a picture.
    Part(&'a Part),
    /// A function call.
    Call(&'a ToolCall),
}

impl Turn {
    /// Returns the blocks in order, each with its cache breakpoint. Blocks without a mark follow in
    /// the usual order: reasoning, content and calls.
    pub fn blocks(&self) -> Vec<(TurnBlock<'_>, Option<CacheTtl>)> {
        let mut reasoning = self.reasoning.iter().map(TurnBlock::Reasoning);
        let mut content = self.content.iter().map(TurnBlock::Part);
        let mut calls = self.calls.iter().map(TurnBlock::Call);
        let mut blocks = Vec::new();
        for BlockMark { kind, cache } in &self.order {
            let block = match kind {
                BlockKind::Reasoning => reasoning.next(),
                BlockKind::Content => content.next(),
                BlockKind::Call => calls.next(),
            };
            blocks.extend(block.map(|block| (block, *cache)));
        }
        blocks.extend(reasoning.chain(content).chain(calls).map(|block| (block, None)));
        blocks
    }

    /// Returns the turn's last cache breakpoint.
    pub fn cache(&self) -> Option<CacheTtl> {
        self.order.iter().rev().find_map(|mark| mark.cache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Speaker;

    #[test]
    fn blocks_without_a_mark_follow_in_the_usual_order() {
        let mark = |kind: BlockKind| BlockMark { kind, cache: None };
        let reasoning = |text: &str| Reasoning { text: text.into(), ..Reasoning::default() };
        let turn = Turn {
            content: vec![Part::Text("a".into()), Part::Text("b".into())],
            calls: vec![ToolCall::default()],
            reasoning: vec![reasoning("x"), reasoning("y")],
            order: [BlockKind::Content, BlockKind::Reasoning].map(mark).to_vec(),
            ..Turn::with_content(Speaker::Assistant, Vec::new())
        };
        let blocks: Vec<TurnBlock<'_>> =
            turn.blocks().into_iter().map(|(block, _)| block).collect();
        let expected = [
            TurnBlock::Part(&turn.content[0]),
            TurnBlock::Reasoning(&turn.reasoning[0]),
            TurnBlock::Reasoning(&turn.reasoning[1]),
            TurnBlock::Part(&turn.content[1]),
            TurnBlock::Call(&turn.calls[0]),
        ];
        assert_eq!(blocks, expected);
        let bare = Turn { reasoning: Vec::new(), ..turn };
        assert_eq!(bare.blocks().len(), 3, "a mark without a block is skipped");
    }
}
