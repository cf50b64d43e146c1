//! Functions that a model may call. The client runs these functions. A function call is an answer,
//! and the client sends the result with its next request.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::ai::schema::JsonSchema;
use crate::values::CacheTtl;

/// The text before the examples of a function's arguments in its description.
const EXAMPLES: &str = "Examples of the arguments:";

/// A function that the model may call.
#[derive(Clone, Debug, Default)]
pub struct Tool {
    /// The function's name.
    pub name: String,
    /// The description of the function.
    pub description: Option<String>,
    /// The schema of the function's parameters.
    pub parameters: Option<JsonSchema>,
    /// True if calls must conform to the schema.
    pub strict: Option<bool>,
    /// How long the provider caches the prompt up to the end of this function. `None` if the
    /// function doesn't end with a cache breakpoint.
    pub cache: Option<CacheTtl>,
    /// Examples of the arguments, as JSON objects.
    pub examples: Vec<Box<RawValue>>,
    /// True if the client wants the pieces of a call's arguments as early as possible. It doesn't
    /// change the arguments, and only Anthropic has the field.
    pub streams_early: bool,
}

impl Tool {
    /// Returns the description and the examples, for providers without a field for examples.
    pub(super) fn described(&self) -> Option<Cow<'_, str>> {
        if self.examples.is_empty() {
            return self.description.as_deref().map(Cow::Borrowed);
        }
        let examples = self.examples.iter().map(|example| example.get());
        let lines = self.description.as_deref().into_iter().chain([EXAMPLES]).chain(examples);
        Some(Cow::Owned(lines.collect::<Vec<_>>().join("\n")))
    }
}

/// Whether a model may, must or must not call a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model may call functions.
    #[default]
    Auto,
    /// The model must not call functions.
    None,
    /// The model must call one or more functions.
    Required,
    /// The model must call the function with this name.
    Function(String),
}

/// The format of an answer.
#[derive(Clone, Debug)]
pub enum Format {
    /// Any JSON object.
    JsonObject,
    /// JSON that conforms to a schema.
    JsonSchema(AnswerSchema),
}

/// The named schema of an answer.
#[derive(Clone, Debug)]
pub struct AnswerSchema {
    /// The schema's name.
    pub name: String,
    /// The description of the answer.
    pub description: Option<String>,
    /// The schema.
    pub schema: Option<JsonSchema>,
    /// True if the answer must conform to the schema exactly.
    pub strict: Option<bool>,
}

/// A part of a streamed function call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPiece {
    /// The index of the call in the answer.
    pub index: usize,
    /// The call's id and the function's name. Only a call's first part contains them.
    pub begins: Option<(String, String)>,
    /// The next part of the arguments.
    pub arguments: String,
}
