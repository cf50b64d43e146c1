//! The order of the blocks in an assistant's turn and in a stored answer: its reasoning, texts and
//! calls. With interleaved thinking, Anthropic's models continue a series of calls only if these
//! blocks come back in the order in which they were sent.

use serde::{Deserialize, Serialize};

use crate::values::{Part, Reasoning, ToolCall, Turn};

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

/// A list in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// A piece of an answer's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerMark {
    /// The next part of the reasoning.
    Reasoning,
    /// The next bytes of the text, of this number.
    Text(usize),
    /// The next call.
    Call,
}

impl AnswerMark {
    /// Adds a mark. Adjacent texts become one block.
    pub(crate) fn push(self, marks: &mut Vec<Self>) {
        match (marks.last_mut(), self) {
            (Some(Self::Text(before)), Self::Text(more)) => *before += more,
            _ => marks.push(self),
        }
    }
}

/// The order of the blocks in a stored answer, as a short text: `r` for a part of the reasoning,
/// `c` for a call, and a number for this many bytes of the answer's text. For example, `r12rc`.
/// Characters of later releases are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockOrder(String);

impl BlockOrder {
    /// Returns the order of these marks. `None` if it is the usual order, in which the reasoning
    /// precedes the text, and the text precedes the calls.
    pub(crate) fn of(marks: &[AnswerMark]) -> Option<Self> {
        let place = |mark: &AnswerMark| match mark {
            AnswerMark::Reasoning => 0,
            AnswerMark::Text(_) => 1,
            AnswerMark::Call => 2,
        };
        if marks.is_sorted_by_key(place) {
            return None;
        }
        let word = |mark: &AnswerMark| match mark {
            AnswerMark::Reasoning => "r".to_owned(),
            AnswerMark::Text(length) => length.to_string(),
            AnswerMark::Call => "c".to_owned(),
        };
        Some(Self(marks.iter().map(word).collect()))
    }

    /// Returns the marks.
    pub(crate) fn marks(&self) -> Vec<AnswerMark> {
        let mut marks = Vec::new();
        let mut rest = self.0.as_str();
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let mark = match first {
                'r' => Some(AnswerMark::Reasoning),
                'c' => Some(AnswerMark::Call),
                _ => digits.parse().ok().map(AnswerMark::Text),
            };
            marks.extend(mark);
            rest = match digits {
                "" => rest.get(first.len_utf8()..).unwrap_or_default(),
                _ => after,
            };
        }
        marks
    }
}

/// A block of a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerBlock<'a> {
    /// A part of the model's reasoning.
    Reasoning(&'a Reasoning),
    /// A text, which isn't empty.
    Text(&'a str),
    /// A function call, and its index among the calls.
    Call(usize, &'a ToolCall),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Speaker;

    #[test]
    fn unusual_orders_survive_the_store() {
        use AnswerMark::{Call, Reasoning, Text};
        for usual in [&[][..], &[Text(3)], &[Reasoning, Reasoning, Text(3), Call, Call], &[Call]] {
            assert_eq!(BlockOrder::of(usual), None, "{usual:?}");
        }
        for (marks, word) in [
            (&[Reasoning, Text(12), Reasoning, Call][..], "r12rc"),
            (&[Call, Text(1)], "c1"),
            (&[Text(1), Reasoning, Text(20), Call, Reasoning], "1r20cr"),
        ] {
            let order = BlockOrder::of(marks).unwrap();
            assert_eq!((order.0.as_str(), order.marks().as_slice()), (word, marks));
        }
        let later = BlockOrder("r?3é99999999999999999999999c".into());
        assert_eq!(later.marks(), [Reasoning, Text(3), Call]);
    }

    #[test]
    fn adjacent_texts_are_one_block() {
        let mut marks = Vec::new();
        for mark in [AnswerMark::Text(1), AnswerMark::Text(2), AnswerMark::Call] {
            mark.push(&mut marks);
        }
        assert_eq!(marks, [AnswerMark::Text(3), AnswerMark::Call]);
    }

    #[test]
    fn blocks_without_a_mark_follow_in_the_usual_order() {
        let mark = |kind: BlockKind| BlockMark { kind, cache: None };
        let reasoning = |text: &str| Reasoning { text: text.into(), ..Reasoning::default() };
        let turn = Turn {
            content: vec![Part::Text("a".into()), Part::Text("b".into())],
            calls: vec![ToolCall::default()],
            reasoning: vec![reasoning("x"), reasoning("y")],
            order: [BlockKind::Content, BlockKind::Reasoning].map(mark).to_vec(),
            ..Turn::of(Speaker::Assistant, Vec::new())
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
