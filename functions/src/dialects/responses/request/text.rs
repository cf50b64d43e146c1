//! The answer format in a request.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::ai::{Format, Verbosity};
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

use crate::dialects::openai::format::NamedSchema;
use crate::dialects::openai::options::verbosity;

#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseText)]
pub(super) struct Text {
    format: Option<TextFormat>,
    /// How long the answer is: `low`, `medium` or `high`.
    #[schema(examples("low"))]
    verbosity: Option<String>,
}

/// `text`, `json_object`, or a JSON Schema that the answer conforms to.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResponseTextFormat)]
struct TextFormat {
    #[serde(rename = "type")]
    #[schema(pattern = "^(text|json_object|json_schema)$", examples("json_schema"))]
    kind: String,
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("weather"))]
    name: Option<String>,
    description: Option<String>,
    /// The JSON Schema, at most 50 levels deep.
    #[schema(value_type = Option<Object>)]
    schema: Option<Box<RawValue>>,
    strict: Option<bool>,
}

impl Text {
    /// Returns the format, where `None` means plain text, and the length that the answer should
    /// have.
    pub(super) fn read(self, errors: &mut FieldErrors) -> (Option<Format>, Option<Verbosity>) {
        let verbosity = verbosity("text.verbosity", self.verbosity.as_deref(), errors);
        (self.format.and_then(|format| format.read(errors)), verbosity)
    }
}

impl TextFormat {
    fn read(self, errors: &mut FieldErrors) -> Option<Format> {
        let Self { kind, name, description, schema, strict } = self;
        match kind.as_str() {
            "text" => None,
            "json_object" => Some(Format::JsonObject),
            "json_schema" => {
                let name =
                    errors.check("text.format.name", name.ok_or_else(|| REQUIRED.to_owned()))?;
                NamedSchema { name, description, schema, strict }.read("text.format", errors)
            }
            _ => {
                errors.note("text.format.type", "This must be text, json_object or json_schema.");
                None
            }
        }
    }
}
