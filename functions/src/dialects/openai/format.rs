//! The JSON Schema of an answer.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::ai::{AnswerSchema, Format, JsonSchema};
use shared::error::FieldErrors;
use utoipa::ToSchema;

use crate::dialects::programs::tools::checked_name;

/// A JSON Schema that the answer conforms to.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NamedSchema {
    #[schema(pattern = "^[a-zA-Z0-9_-]{1,64}$", examples("weather"))]
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// The JSON Schema, at most 50 levels deep.
    #[schema(value_type = Option<Object>)]
    pub(crate) schema: Option<Box<RawValue>>,
    pub(crate) strict: Option<bool>,
}

impl NamedSchema {
    /// Returns the format, if the schema in this field is valid.
    pub(crate) fn read(self, field: &str, errors: &mut FieldErrors) -> Option<Format> {
        let Self { name, description, schema, strict } = self;
        let name = errors.check(&format!("{field}.name"), checked_name(name));
        let schema = schema.map(JsonSchema::parse).transpose();
        let schema = errors.check(&format!("{field}.schema"), schema);
        let (name, schema) = (name?, schema?);
        Some(Format::JsonSchema(AnswerSchema { name, description, schema, strict }))
    }
}
