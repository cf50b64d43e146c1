//! An answer: its text, why it ends, and the model's token counts.

use crate::values::{CutReason, ToolCall, Usage};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The functions that it calls.
    pub calls: Vec<ToolCall>,
    /// The model that wrote it.
    pub model: String,
    /// Why it is cut off, if it is.
    pub cut: Option<CutReason>,
    /// Whether its user stopped it.
    pub stopped: bool,
    /// The token counts.
    pub usage: Usage,
}
