//! A provider's answer: its text, why it ended, and its token counts.

use crate::values::{BlockOrder, CutReason, Reasoning, StopDetails, ToolCall, Usage};

/// A provider's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// True if the text is the model's refusal to answer.
    pub refused: bool,
    /// The model's reasoning before the answer, up to the answer's maximum length.
    pub reasoning: Vec<Reasoning>,
    /// The function calls in the answer.
    pub calls: Vec<ToolCall>,
    /// The order of the reasoning, the text and the calls. `None` if it is the usual order, or if
    /// the client's API has no blocks.
    pub blocks: Option<BlockOrder>,
    /// The model that wrote the answer.
    pub model: String,
    /// The reason why the answer is cut off. `None` if the answer is complete.
    pub cut: Option<CutReason>,
    /// Details of the end. `None` if there are none, or if the client's API has no such details.
    pub stop_details: Option<StopDetails>,
    /// True if the user stopped the answer.
    pub stopped: bool,
    /// True if the answer was cut off before its provider ended it, because the user stopped it,
    /// its time ran out, or it was too long.
    pub closed: bool,
    /// The model token counts.
    pub usage: Usage,
}
