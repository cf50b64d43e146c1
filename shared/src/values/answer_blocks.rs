//! The order of the blocks in an answer: its reasoning, texts and calls.

use std::iter;

use serde::{Deserialize, Serialize};

use crate::values::{BlockKind, Reasoning, ToolCall};

/// A piece of an answer's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerMark {
    /// The next part of the reasoning.
    Reasoning,
    /// The next part of the text, with this number of bytes.
    Text(usize),
    /// The next call.
    Call,
}

impl AnswerMark {
    /// Adds a mark. Adjacent texts become one block.
    pub fn push(self, marks: &mut Vec<Self>) {
        match (marks.last_mut(), self) {
            (Some(Self::Text(before)), Self::Text(more)) => *before += more,
            _ => marks.push(self),
        }
    }

    /// Returns the kind of block.
    pub fn kind(self) -> BlockKind {
        match self {
            Self::Reasoning => BlockKind::Reasoning,
            Self::Text(_) => BlockKind::Content,
            Self::Call => BlockKind::Call,
        }
    }
}

/// The order of the blocks in an answer, as a short text: `r` for a part of the reasoning, `c` for a
/// call, and a number for this many bytes of the answer's text. For example, `r12rc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockOrder(String);

impl BlockOrder {
    /// Returns the order of these marks. `None` if it is the usual order, in which the reasoning
    /// precedes the text, and the text precedes the calls.
    pub fn of(marks: &[AnswerMark]) -> Option<Self> {
        if marks.is_sorted_by_key(|mark| mark.kind()) {
            return None;
        }
        let word = |mark: &AnswerMark| match mark {
            AnswerMark::Reasoning => "r".to_owned(),
            AnswerMark::Text(length) => length.to_string(),
            AnswerMark::Call => "c".to_owned(),
        };
        Some(Self(marks.iter().map(word).collect()))
    }

    /// Returns the marks one by one. The last is `None` if the rest of the text isn't an order: a
    /// later release or a client may have written it.
    pub fn marks(&self) -> impl Iterator<Item = Option<AnswerMark>> {
        let mut rest = self.0.as_str();
        iter::from_fn(move || {
            let first = rest.chars().next()?;
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let (word, after) = rest.split_at_checked(digits.max(1)).unwrap_or((rest, ""));
            rest = after;
            let mark = match first {
                'r' => Some(AnswerMark::Reasoning),
                'c' => Some(AnswerMark::Call),
                _ => word.parse().ok().map(AnswerMark::Text),
            };
            if mark.is_none() {
                rest = "";
            }
            Some(mark)
        })
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
            assert_eq!(order.0, word);
            assert!(order.marks().eq(marks.iter().copied().map(Some)), "{word}");
        }
        for other in ["r3?", "r3é", "r3é5", "r399999999999999999999999", "r3rs_1"] {
            let marks: Vec<_> = BlockOrder(other.into()).marks().collect();
            assert_eq!((marks[0], marks.last()), (Some(Reasoning), Some(&None)), "{other}");
        }
    }

    #[test]
    fn adjacent_texts_are_one_block() {
        let mut marks = Vec::new();
        for mark in [AnswerMark::Text(1), AnswerMark::Text(2), AnswerMark::Call] {
            mark.push(&mut marks);
        }
        assert_eq!(marks, [AnswerMark::Text(3), AnswerMark::Call]);
    }
}
