//! The format of the answer that a request asks for.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::ai::{AnswerSchema, Format, JsonSchema};
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

use super::tools::{NAME, is_name};

#[derive(Deserialize, ToSchema)]
pub(super) struct ResponseFormat {
    #[serde(rename = "type")]
    #[schema(pattern = "^(text|json_object|json_schema)$", examples("json_schema"))]
    kind: String,
    json_schema: Option<NamedSchema>,
}

/// A JSON Schema, to which the answer conforms.
#[derive(Deserialize, ToSchema)]
struct NamedSchema {
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("weather"))]
    name: String,
    description: Option<String>,
    /// At most 50 levels deep.
    #[schema(value_type = Option<Object>)]
    schema: Option<Box<RawValue>>,
    strict: Option<bool>,
}

impl ResponseFormat {
    /// `None` for an answer in words.
    pub(super) fn read(self, errors: &mut FieldErrors) -> Option<Format> {
        match self.kind.as_str() {
            "text" => None,
            "json_object" => Some(Format::JsonObject),
            "json_schema" => {
                let named = self.json_schema.ok_or_else(|| REQUIRED.to_owned());
                errors.check("response_format.json_schema", named)?.read(errors)
            }
            _ => {
                errors.note("response_format.type", "This is text, json_object or json_schema.");
                None
            }
        }
    }
}

impl NamedSchema {
    fn read(self, errors: &mut FieldErrors) -> Option<Format> {
        let Self { name, description, schema, strict } = self;
        let name = if is_name(&name) { Ok(name) } else { Err(NAME.to_owned()) };
        let name = errors.check("response_format.json_schema.name", name);
        let schema = schema.map(JsonSchema::parse).transpose();
        let schema = errors.check("response_format.json_schema.schema", schema);
        let (name, schema) = (name?, schema?);
        Some(Format::JsonSchema(AnswerSchema { name, description, schema, strict }))
    }
}
