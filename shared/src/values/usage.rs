//! The number of model tokens that an answer used, and the reason why it was cut off.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The numbers of model tokens that an answer used. The numbers are estimates if the provider
/// doesn't report any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TokenUsage)]
pub struct Usage {
    /// The number of model tokens in the message and the conversation before it.
    #[schema(examples(2))]
    pub prompt_tokens: u32,
    /// The number of model tokens in the answer.
    #[schema(examples(4))]
    pub completion_tokens: u32,
    /// True if the numbers are estimates, because the provider doesn't report any.
    #[serde(default)]
    #[schema(required)]
    pub estimated: bool,
}

impl Usage {
    /// Estimates the numbers from the lengths of the prompt and the answer.
    pub(crate) fn estimate(prompt_bytes: usize, answer_bytes: usize) -> Self {
        let tokens = |bytes: usize| u32::try_from(estimate_model_tokens(bytes)).unwrap_or(u32::MAX);
        Self {
            prompt_tokens: tokens(prompt_bytes),
            completion_tokens: tokens(answer_bytes),
            estimated: true,
        }
    }
}

/// Estimates the number of model tokens in this many bytes. A model token has about four bytes.
pub fn estimate_model_tokens(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

/// The reason why an answer is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutReason {
    /// The provider's content filter ended the answer.
    ContentFilter,
    /// The answer reached its maximum length or its time limit. Stored reasons that only later
    /// releases know are read as this reason.
    #[serde(other)]
    Length,
}

impl CutReason {
    /// Returns the reason's name in OpenAI's API and in traces.
    pub fn word(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
        }
    }
}
