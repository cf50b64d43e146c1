//! Functions that a model may call. The client runs them: a call is an answer, and the client sends
//! the result with its next request.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// How deep a schema may be nested.
const DEPTH: usize = 50;

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

/// A JSON Schema, as the client wrote it: models follow the order of its properties.
#[derive(Clone, Debug)]
pub struct JsonSchema(Box<RawValue>);

impl JsonSchema {
    /// # Errors
    /// If it isn't an object, is nested too deeply, or refers to itself in a circle without a
    /// schema. (A schema that contains itself is valid.)
    pub fn parse(schema: Box<RawValue>) -> Result<Self, String> {
        let too_deep = || format!("A schema may be nested {DEPTH} levels deep.");
        // It is valid JSON, and serde_json has a limit of its own for the depth.
        let value: Value = serde_json::from_str(schema.get()).map_err(|_| too_deep())?;
        if !value.is_object() {
            return Err(NO_SCHEMA.into());
        }
        let mut references = Vec::new();
        if !look(&value, DEPTH, &mut references) {
            return Err(too_deep());
        }
        match is_circular(&value, references) {
            true => Err("A `$ref` of this schema leads back to itself.".into()),
            false => Ok(Self(schema)),
        }
    }

    /// The text.
    pub fn json(&self) -> &RawValue {
        &self.0
    }

    /// The value, without the order of its properties.
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

const NO_SCHEMA: &str = "A schema is a JSON object.";

/// Collects the references within a schema. Returns whether it is at most `depth` levels deep.
fn look<'s>(schema: &'s Value, depth: usize, references: &mut Vec<&'s str>) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return false };
    match schema {
        Value::Object(fields) => {
            references.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().all(|field| look(field, depth, references))
        }
        Value::Array(items) => items.iter().all(|item| look(item, depth, references)),
        _ => true,
    }
}

/// Whether a reference leads to nothing but references.
fn is_circular<'s>(schema: &'s Value, references: Vec<&'s str>) -> bool {
    let target = |reference: &str| {
        let pointer = reference.strip_prefix('#')?;
        schema.pointer(pointer)?.get("$ref")?.as_str()
    };
    let mut ended: HashSet<&str> = HashSet::new();
    for reference in references {
        let mut path = HashSet::new();
        let mut next = Some(reference);
        while let Some(reference) = next.filter(|reference| !ended.contains(reference)) {
            if !path.insert(reference) {
                return true;
            }
            next = target(reference);
        }
        ended.extend(path);
    }
    false
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(schema: &Value) -> Result<JsonSchema, String> {
        JsonSchema::parse(serde_json::value::to_raw_value(schema).unwrap())
    }

    #[test]
    fn a_schema_may_contain_itself_but_must_not_lead_in_a_circle() {
        let children = json!({ "type": "array", "items": { "$ref": "#/$defs/node" } });
        let node = json!({ "type": "object", "properties": { "children": children } });
        parse(&json!({ "$ref": "#/$defs/node", "$defs": { "node": node } })).unwrap();
        parse(&json!({ "properties": { "next": { "$ref": "#" } } })).unwrap();
        parse(&json!({ "$ref": "https://example.com/schema.json" })).unwrap();
        parse(&json!({ "$ref": "#/nowhere" })).unwrap();
        for circle in [
            json!({ "$ref": "#" }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } }),
        ] {
            let refused = parse(&circle).unwrap_err();
            assert_eq!(refused, "A `$ref` of this schema leads back to itself.", "{circle}");
        }
    }

    #[test]
    fn a_schema_is_an_object_of_limited_depth() {
        let deep = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({ "items": inner }));
        parse(&deep(DEPTH)).unwrap();
        for too_deep in [DEPTH + 1, 1000] {
            assert!(parse(&deep(too_deep)).unwrap_err().contains("50 levels"));
        }
        for no_schema in [json!([]), json!("object"), json!(true), Value::Null] {
            assert_eq!(parse(&no_schema).unwrap_err(), NO_SCHEMA);
        }
    }

    #[test]
    fn a_schema_keeps_the_order_in_which_it_was_written() {
        let text = r#"{"type": "object", "properties": {"b": {}, "a": {}}}"#;
        let schema = JsonSchema::parse(RawValue::from_string(text.into()).unwrap()).unwrap();
        assert_eq!(schema.json().get(), text);
    }
}
