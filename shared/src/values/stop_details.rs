//! The details of an answer's end.

use serde::{Deserialize, Serialize};

/// The maximum length of each text, in bytes. Longer texts are cut off.
const TEXT_BYTES: usize = 1024;

/// Details of an answer's end that only Anthropic's API has. They are stored only for answers in
/// this API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopDetails {
    /// The stop sequence that ended the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// The category of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The provider's explanation of a refusal, for human readers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<String>,
    /// True if the prompt and the answer have filled the model's context.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_context_full: bool,
}

impl StopDetails {
    /// Returns `None` if there are no details. Shortens long texts.
    pub(crate) fn or_none(self) -> Option<Self> {
        let short = |mut text: String| {
            text.truncate(text.floor_char_boundary(TEXT_BYTES));
            text
        };
        let details = Self {
            sequence: self.sequence.map(short),
            category: self.category.map(short),
            explanation: self.explanation.map(short),
            ..self
        };
        (details != Self::default()).then_some(details)
    }
}
