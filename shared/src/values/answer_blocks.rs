//! The order of the blocks in a stored answer: its reasoning, texts and calls.

use serde::{Deserialize, Serialize};

use crate::values::{Reasoning, ToolCall};

/// A piece of an answer's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerMark {
    /// The next part of the reasoning.
    Reasoning,
    /// The next part of the text, with this number of bytes.
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
}
