//! The answer format in a request.

use serde::Deserialize;
use shared::ai::Format;
use shared::error::{FieldErrors, REQUIRED};
use utoipa::ToSchema;

use crate::dialects::openai::format::NamedSchema;

#[derive(Deserialize, ToSchema)]
pub(super) struct ResponseFormat {
    #[serde(rename = "type")]
    #[schema(pattern = "^(text|json_object|json_schema)$", examples("json_schema"))]
    kind: String,
    json_schema: Option<NamedSchema>,
}

impl ResponseFormat {
    /// Returns the format. `None` means plain text.
    pub(super) fn read(self, errors: &mut FieldErrors) -> Option<Format> {
        match self.kind.as_str() {
            "text" => None,
            "json_object" => Some(Format::JsonObject),
            "json_schema" => {
                let field = "response_format.json_schema";
                let named = self.json_schema.ok_or_else(|| REQUIRED.to_owned());
                errors.check(field, named)?.read(field, errors)
            }
            _ => {
                errors
                    .note("response_format.type", "This must be text, json_object or json_schema.");
                None
            }
        }
    }
}
