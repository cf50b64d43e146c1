//! The turns of a conversation.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Picture;

/// The speaker of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The instructions for the AI.
    System,
    /// The user.
    User,
    /// The AI.
    Assistant,
    /// A function that the AI called.
    Tool,
}

/// A turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The speaker.
    pub role: Speaker,
    /// Texts and pictures, in their order.
    pub content: Vec<Part>,
    /// The functions that the AI calls in this turn.
    pub calls: Vec<ToolCall>,
    /// The id of the call whose result this is, in a turn of a function.
    pub answers: Option<String>,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A text.
    Text(String),
    /// A picture.
    Picture(Picture),
}

impl Part {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Picture(_) => None,
        }
    }
}

impl Turn {
    /// A turn with this text.
    pub fn new(role: Speaker, text: impl Into<String>) -> Self {
        Self { role, content: vec![Part::Text(text.into())], calls: Vec::new(), answers: None }
    }

    /// The turn as a text, with a note for each picture.
    pub fn text(&self) -> Cow<'_, str> {
        match self.content.as_slice() {
            [] => Cow::Borrowed(""),
            [Part::Text(text)] => Cow::Borrowed(text),
            parts => {
                let texts = parts.iter().map(|part| match part {
                    Part::Text(text) => text.clone(),
                    Part::Picture(picture) => picture.to_string(),
                });
                Cow::Owned(texts.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// Whether it says nothing at all.
    pub fn is_blank(&self) -> bool {
        let is_blank = |part: &Part| matches!(part, Part::Text(text) if text.trim().is_empty());
        self.content.iter().all(is_blank) && self.calls.is_empty() && self.answers.is_none()
    }
}

/// A call of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The id to which the result refers.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments: usually a JSON object, but a model may write anything.
    pub arguments: String,
}

impl ToolCall {
    /// How many bytes it takes in the store, at most.
    pub(crate) fn size(&self) -> usize {
        const FRAME: usize = 40;
        self.id.len() + self.name.len() + self.arguments.len() + FRAME
    }
}

/// For people.
impl fmt::Display for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls {}({})", self.name, self.arguments)
    }
}
