//! The messages in a prompt, which are called turns.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Picture;

/// The author of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The operator or the user, with instructions for the AI.
    System,
    /// The account's user.
    User,
    /// The AI that answers.
    Assistant,
    /// A function that the AI called.
    Tool,
}

/// One message in a prompt, with its role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The turn's author.
    pub role: Speaker,
    /// The strings and pictures, in order.
    pub content: Vec<Part>,
    /// The function calls in this turn.
    pub calls: Vec<ToolCall>,
    /// The id of the function call whose result this turn contains. `None` unless the role is
    /// [`Speaker::Tool`].
    pub answers: Option<String>,
}

/// A part of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A string.
    Text(String),
    /// A picture.
    Picture(Picture),
}

impl Part {
    /// Returns the string. `None` for a picture.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Picture(_) => None,
        }
    }
}

impl Turn {
    /// Creates a turn with this text.
    pub fn new(role: Speaker, text: impl Into<String>) -> Self {
        Self { role, content: vec![Part::Text(text.into())], calls: Vec::new(), answers: None }
    }

    /// Returns the turn as a string, with a note in place of each picture.
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

    /// Returns true if the turn doesn't contain visible text, pictures, function calls or the
    /// result of a call.
    pub fn is_blank(&self) -> bool {
        let is_blank = |part: &Part| matches!(part, Part::Text(text) if text.trim().is_empty());
        self.content.iter().all(is_blank) && self.calls.is_empty() && self.answers.is_none()
    }
}

/// A function call in an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The id of the call. Its result refers to this id.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// The arguments of the call. They are usually a JSON object, but the model may generate any
    /// string.
    pub arguments: String,
}

impl ToolCall {
    /// Returns an upper bound on the call's size in the store, in bytes.
    pub(crate) fn size(&self) -> usize {
        const FRAME: usize = 40;
        self.id.len() + self.name.len() + self.arguments.len() + FRAME
    }
}

/// Formats the call as a line for human readers.
impl fmt::Display for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls {}({})", self.name, self.arguments)
    }
}
