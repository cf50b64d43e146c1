//! Conversions between JSON and the SDK's `Document`, whose objects are unordered.

use std::collections::HashMap;
use std::fmt;

use aws_smithy_types::{Document, Number};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};

/// Parses the fields of a JSON object. Returns `None` if the string isn't a JSON object.
pub fn object(text: &str) -> Option<HashMap<String, Document>> {
    match serde_json::from_str(text) {
        Ok(Json(Document::Object(fields))) => Some(fields),
        _ => None,
    }
}

/// Converts a document to JSON.
pub fn to_json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(bool) => Value::Bool(*bool),
        Document::Number(Number::PosInt(number)) => json!(number),
        Document::Number(Number::NegInt(number)) => json!(number),
        Document::Number(Number::Float(number)) => json!(number),
        Document::String(text) => json!(text),
        Document::Array(items) => items.iter().map(to_json).collect(),
        Document::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect()
        }
    }
}

/// Reads JSON directly into a document. An intermediate JSON value would double the required
/// memory.
struct Json(Document);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Values).map(Self)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Document, E> {
        Ok(Document::Bool(bool))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Document, E> {
        Ok(Document::Number(Number::PosInt(number)))
    }

    /// Only negative integers arrive here, because serde_json reads all others as `u64`.
    fn visit_i64<E>(self, number: i64) -> Result<Document, E> {
        Ok(Document::Number(Number::NegInt(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Document, E> {
        Ok(Document::Number(Number::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Document, E> {
        Ok(Document::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut array = Vec::new();
        while let Some(Json(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Document::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Document, A::Error> {
        let mut object = HashMap::new();
        while let Some((name, Json(value))) = fields.next_entry()? {
            object.insert(name, value);
        }
        Ok(Document::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_objects_survive_the_conversion_to_sdk_documents() {
        let text = r#"{"a":[null,true,0,18446744073709551615,-1,0.5,"é",{}],"b":{"c":[]}}"#;
        let document = Document::Object(object(text).unwrap());
        assert_eq!(to_json(&document).to_string(), text);
        for none in ["", "{", "[]", "null", "{} {}", r#"{"a": 1e999}"#] {
            assert!(object(none).is_none(), "{none}");
        }
        assert!(object(&format!("{}{}", r#"{"a":"#.repeat(1000), "}".repeat(1000))).is_none());
    }
}
