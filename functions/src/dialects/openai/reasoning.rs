//! The parts of a model's reasoning in a streamed answer.

use std::mem;

use shared::ai::ReasoningPiece;
use shared::values::Reasoning;

/// The parts of the reasoning that a stream has sent.
#[derive(Default)]
pub(crate) struct ReasoningParts {
    /// The number of parts that have ended.
    ended: usize,
    /// The text of the part that hasn't ended yet. Empty if all parts have ended.
    text: String,
}

impl ReasoningParts {
    /// Returns the index of the part to which the next text belongs.
    pub(crate) fn index(&self) -> usize {
        self.ended
    }

    /// Adds a piece. Returns the parts that end with it, and their indexes.
    pub(crate) fn add(&mut self, piece: &ReasoningPiece) -> Vec<(usize, Reasoning)> {
        match piece {
            ReasoningPiece::Text(text) => {
                self.text.push_str(text);
                Vec::new()
            }
            ReasoningPiece::Signature(signature) => {
                let (text, signature) = (mem::take(&mut self.text), Some(signature.clone()));
                vec![self.numbered(Reasoning { text, signature, ..Reasoning::default() })]
            }
            ReasoningPiece::Broken => self.end().into_iter().collect(),
            ReasoningPiece::Encrypted(encrypted) => {
                let before = self.end();
                let encrypted = Some(encrypted.clone());
                let part = self.numbered(Reasoning { encrypted, ..Reasoning::default() });
                before.into_iter().chain([part]).collect()
            }
        }
    }

    /// Ends the last part if it hasn't ended yet, because the answer continues with something else.
    /// Returns the part and its index.
    pub(crate) fn end(&mut self) -> Option<(usize, Reasoning)> {
        let text = Some(mem::take(&mut self.text)).filter(|text| !text.is_empty())?;
        Some(self.numbered(Reasoning { text, ..Reasoning::default() }))
    }

    fn numbered(&mut self, part: Reasoning) -> (usize, Reasoning) {
        let index = self.ended;
        self.ended += 1;
        (index, part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Reasoning {
        Reasoning { text: text.into(), ..Reasoning::default() }
    }

    #[test]
    fn parts_end_at_signatures_failures_and_the_answer() {
        let mut parts = ReasoningParts::default();
        let mut add = |piece: ReasoningPiece| parts.add(&piece);
        assert!(add(ReasoningPiece::Text("Let me ".into())).is_empty());
        assert!(add(ReasoningPiece::Text("think.".into())).is_empty());
        let signed = Reasoning { signature: Some("s".into()), ..text("Let me think.") };
        assert_eq!(add(ReasoningPiece::Signature("s".into())), [(0, signed)]);
        assert!(add(ReasoningPiece::Text("Or not.".into())).is_empty());
        let encrypted = Reasoning { encrypted: Some("e".into()), ..text("") };
        let both = [(1, text("Or not.")), (2, encrypted)];
        assert_eq!(add(ReasoningPiece::Encrypted("e".into())), both);
        let signed = Reasoning { signature: Some("s".into()), ..text("") };
        assert_eq!(add(ReasoningPiece::Signature("s".into())), [(3, signed)]);
        assert!(add(ReasoningPiece::Text("Well".into())).is_empty());
        assert_eq!(add(ReasoningPiece::Broken), [(4, text("Well"))]);
        assert!(add(ReasoningPiece::Broken).is_empty());
        assert!(add(ReasoningPiece::Text("So.".into())).is_empty());
        assert_eq!((parts.index(), parts.end()), (5, Some((5, text("So.")))));
        assert_eq!((parts.index(), parts.end()), (6, None));
    }
}
