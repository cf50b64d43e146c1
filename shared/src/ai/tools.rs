//! Functions that a model may call. The client runs them: a call is an answer, and the client sends
//! the result with its next request.

use crate::ai::schema::JsonSchema;

/// A function that the model may call.
#[derive(Clone, Debug)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// Its parameters.
    pub parameters: Option<JsonSchema>,
    /// Whether calls must conform to the schema.
    pub strict: Option<bool>,
}

/// Whether a model may, must or must not call a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// It may.
    #[default]
    Auto,
    /// It must not.
    None,
    /// It must call one or several.
    Required,
    /// It must call the function with this name.
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

/// The schema of an answer.
#[derive(Clone, Debug)]
pub struct AnswerSchema {
    /// Its name.
    pub name: String,
    /// What it describes.
    pub description: Option<String>,
    /// The schema.
    pub schema: Option<JsonSchema>,
    /// Whether the answer must conform to it exactly.
    pub strict: Option<bool>,
}

/// A part of a call, as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPiece {
    /// The number of the call in the answer.
    pub index: usize,
    /// The call's id and the function's name, in the first part of a call.
    pub begins: Option<(String, String)>,
    /// The next part of the arguments.
    pub arguments: String,
}
