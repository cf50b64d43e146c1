//! A day's calls to an AI model.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A day's calls to providers for one model. A message causes several calls if a provider fails and
/// the next one is called, and titles and embeddings cause calls too. Times are in milliseconds, and
/// don't include failed and stopped calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelCalls {
    /// The model's name in the price list, or in the operator's settings if no list names the
    /// model.
    #[schema(examples("echo"))]
    pub model: String,
    /// The number of calls.
    pub calls: u64,
    /// The number of calls that failed, even if another provider answered instead.
    pub failed: u64,
    /// The median time from a call until the first part of a streamed answer. Null if no answer was
    /// streamed.
    #[schema(required, examples(420))]
    pub first_token_p50: Option<u64>,
    /// The time within which 95 % of streamed answers began. Null if no answer was streamed.
    #[schema(required, examples(1300))]
    pub first_token_p95: Option<u64>,
    /// The median time until an answer was complete. Null if no call was answered.
    #[schema(required, examples(2800))]
    pub answer_p50: Option<u64>,
    /// The time within which 95 % of answers were complete. Null if no call was answered.
    #[schema(required, examples(9600))]
    pub answer_p95: Option<u64>,
}

impl ModelCalls {
    /// Sorts models by their number of calls, largest number first.
    pub fn sort(models: &mut [Self]) {
        models.sort_by(|one, other| (other.calls, &one.model).cmp(&(one.calls, &other.model)));
    }
}
