//! A user's instructions for the AI.

use crate::values::Invalid;
use crate::values::idempotency::fingerprint;

/// The most bytes of instructions. A conversation with as many is still read with one read unit.
pub(crate) const INSTRUCTIONS_LENGTH: usize = 2000;

/// A user's instructions for the AI: for all conversations, or for one. They may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instructions(String);

impl Instructions {
    /// At most 2,000 bytes, without control characters but tabs and line breaks. White space around
    /// them is dropped.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.len() > INSTRUCTIONS_LENGTH {
            return Err(
                format!("Instructions can have at most {INSTRUCTIONS_LENGTH} bytes.").into()
            );
        }
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n')) {
            return Err("Instructions must not have control characters.".into());
        }
        Ok(Self(text.trim().to_owned()))
    }

    /// The text; `None` if it is empty.
    pub fn text(&self) -> Option<&str> {
        Some(self.0.as_str()).filter(|text| !text.is_empty())
    }

    /// What an account has of its instructions, which are an item of their own: a part of their hash.
    /// `None` without a text.
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
        for bad in ["é".repeat(1001), "x".repeat(2001), "a\0b".into(), "a\u{1b}[2J".into()] {
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
