//! A user's instructions for the AI.

use crate::values::Invalid;
use crate::values::idempotency::fingerprint;
use crate::values::text::{bound, lines};

/// The maximum length of instructions, in bytes. Reading a conversation with the longest
/// instructions still costs only one read unit.
pub(crate) const INSTRUCTIONS_LENGTH: usize = 2000;

/// An upper bound on the number of model tokens in instructions. It is three times the length,
/// because the prompt quotes instructions line by line, which turns a line break of one byte into
/// three bytes.
pub(crate) const INSTRUCTIONS_BOUND: usize = 3 * INSTRUCTIONS_LENGTH;

/// A user's instructions for the AI, either for all conversations or for one of them. Instructions
/// may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instructions(String);

impl Instructions {
    /// Parses instructions of at most 2,000 bytes and trims white space around them. Control
    /// characters other than tabs and line breaks are refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > INSTRUCTIONS_LENGTH {
            return Err(
                format!("Instructions can have at most {INSTRUCTIONS_LENGTH} bytes.").into()
            );
        }
        let text = lines(text).ok_or("Instructions must not have control characters.")?;
        if bound(&text) + 2 * text.lines().count() > INSTRUCTIONS_BOUND {
            return Err(
                "These instructions have too many characters that stand for whole words.".into()
            );
        }
        Ok(Self(text))
    }

    /// Returns the instructions. `None` if they are empty.
    pub fn text(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    /// Returns the beginning of the instructions' hash. The account stores it as a marker, because
    /// the instructions are a separate item. `None` if the instructions are empty.
    pub(crate) fn mark(&self) -> Option<String> {
        self.text().map(|text| fingerprint(text).chars().take(16).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_limited_in_bytes_and_have_lines() {
        let text = |text: &str| Instructions::parse(text).map(|parsed| parsed.0);
        let lines = Ok("Be brief.\n\tUse metres.\nThanks.".to_owned());
        assert_eq!(text(" Be brief.\r\n\tUse metres.\rThanks. \n"), lines);
        assert_eq!(text(&"é".repeat(1000)), Ok("é".repeat(1000)));
        for bad in [
            "é".repeat(1001),
            "x".repeat(2001),
            "a\0b".into(),
            "a\u{1b}[2J".into(),
            "\u{fdfa}".repeat(666),
        ] {
            assert!(text(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn whitespace_instructions_count_as_empty() {
        let none = Instructions::parse(" \n").unwrap();
        assert_eq!((none.text(), none.mark()), (None, None));
    }

    #[test]
    fn different_instructions_have_different_marks() {
        let mark = |text: &str| Instructions::parse(text).unwrap().mark().unwrap();
        assert_eq!(mark("Be brief."), mark(" Be brief."));
        assert_ne!(mark("Be brief."), mark("Be kind."));
        assert_eq!(mark("Be brief.").len(), 16);
    }
}
