//! What an answer took of the model: its tokens, and why it was cut off.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The model's token counts: the provider's, or an estimate if it reports none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TokenUsage)]
pub struct Usage {
    /// Tokens of the message and the conversation before it.
    #[schema(examples(2))]
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    #[schema(examples(4))]
    pub completion_tokens: u32,
    /// Whether they are an estimate, because the model's provider doesn't count.
    #[serde(default)]
    #[schema(required)]
    pub estimated: bool,
}

impl Usage {
    /// An estimate from the lengths of a prompt and its answer.
    pub(crate) fn estimate(prompt_bytes: usize, answer_bytes: usize) -> Self {
        let tokens = |bytes: usize| u32::try_from(estimate_model_tokens(bytes)).unwrap_or(u32::MAX);
        Self {
            prompt_tokens: tokens(prompt_bytes),
            completion_tokens: tokens(answer_bytes),
            estimated: true,
        }
    }
}

/// About how many tokens of a model these bytes are: a token has about four.
pub fn estimate_model_tokens(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

/// Why an answer is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutReason {
    /// The provider's content filter.
    ContentFilter,
    /// It has reached its maximum length, or the time is over. A stored reason that only later
    /// releases know reads as this one.
    #[serde(other)]
    Length,
}

impl CutReason {
    /// As OpenAI's API and traces name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}
