//! The messages in a prompt, which are called turns.

mod blocks;

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use self::blocks::{BlockKind, BlockMark, CacheTtl, TurnBlock};
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
    /// The model's reasoning before its answer, in order. Empty unless the role is
    /// [`Speaker::Assistant`].
    pub reasoning: Vec<Reasoning>,
    /// The order of the turn's blocks, and its cache breakpoints. Only some APIs set it: blocks
    /// without a mark follow in the usual order. [`Turn::blocks`] returns the blocks.
    pub order: Vec<BlockMark>,
    /// The id of the function call whose result this turn contains. `None` unless the role is
    /// [`Speaker::Tool`].
    pub answers: Option<String>,
    /// True if the function call failed, and the turn contains the failure.
    pub has_failed: bool,
}

/// A part of a model's reasoning. A client sends it back with the answer that it belongs to,
/// because some models continue a series of function calls only with their earlier reasoning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reasoning {
    /// The text that the provider shows, which may be a summary. Empty if the provider shows
    /// nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// The provider's proof that the text is the model's own. `None` if the provider sent none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The reasoning in a form that only the provider can read. `None` if the provider shows the
    /// text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<String>,
}

impl Reasoning {
    /// Returns true if the provider has signed or encrypted this part, which proves that it comes
    /// from the model. Models refuse other reasoning.
    pub(crate) fn is_proven(&self) -> bool {
        self.signature.is_some() || self.encrypted.is_some()
    }

    /// Returns an upper bound of its size in the store, in bytes.
    pub(crate) fn size(&self) -> usize {
        const FRAME_BYTES: usize = 40;
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.text.len() + of(&self.signature) + of(&self.encrypted) + FRAME_BYTES
    }
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

    /// Returns the picture. `None` for a string.
    pub fn as_picture(&self) -> Option<&Picture> {
        match self {
            Self::Picture(picture) => Some(picture),
            Self::Text(_) => None,
        }
    }
}

impl Turn {
    /// Creates a turn with this text.
    pub fn new(role: Speaker, text: impl Into<String>) -> Self {
        Self::with_content(role, vec![Part::Text(text.into())])
    }

    /// Creates a turn with this content.
    pub fn with_content(role: Speaker, content: Vec<Part>) -> Self {
        Self {
            role,
            content,
            calls: Vec::new(),
            reasoning: Vec::new(),
            order: Vec::new(),
            answers: None,
            has_failed: false,
        }
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

    /// Returns the turn's text without its pictures.
    pub(crate) fn words(&self) -> Cow<'_, str> {
        match self.content.as_slice() {
            [] => Cow::Borrowed(""),
            [Part::Text(text)] => Cow::Borrowed(text),
            parts => {
                let texts: Vec<&str> = parts.iter().filter_map(Part::as_text).collect();
                Cow::Owned(texts.join("\n"))
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

/// Returns true if the arguments of a call are a complete JSON object, so that only white space can
/// follow.
pub fn is_json_object(arguments: &str) -> bool {
    arguments.trim_end().ends_with('}') && serde_json::from_str::<IgnoredAny>(arguments).is_ok()
}

/// Returns true if a call has no arguments: the text is empty, or it is `null`, which some models
/// and clients send for a function without parameters.
pub fn lacks_arguments(arguments: &str) -> bool {
    ["", "null"].contains(&arguments.trim())
}

impl ToolCall {
    /// Returns an upper bound on the call's size in the store, in bytes.
    pub(crate) fn size(&self) -> usize {
        const FRAME_BYTES: usize = 40;
        self.id.len() + self.name.len() + self.arguments.len() + FRAME_BYTES
    }
}

/// Formats the call as a line for human readers.
impl fmt::Display for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Calls {}({})", self.name, self.arguments)
    }
}
