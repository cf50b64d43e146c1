//! JSON Schemas for functions and answers.

use crate::values::Invalid;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The maximum number of levels in a schema.
const DEPTH: usize = 50;

/// A JSON Schema as the client wrote it. Models follow the order of the properties, which is kept
/// for all providers except Bedrock.
#[derive(Clone, Debug)]
pub struct JsonSchema(Box<RawValue>);

impl JsonSchema {
    /// Checks the schema without building a JSON value, because small objects would take a hundred
    /// times the memory of their text.
    ///
    /// # Errors
    /// Fails if the schema isn't an object, is nested too deeply, contains text that JSON parsers
    /// can't read, or has references that only lead to each other in a circle. A schema may contain
    /// itself.
    pub fn parse(schema: Box<RawValue>) -> Result<Self, Invalid> {
        if !schema.get().starts_with('{') {
            return Err("A schema must be a JSON object.".into());
        }
        let mut references = References::default();
        let look =
            SchemaCheck { depth: DEPTH, place: ROOT, referring: None, references: &mut references };
        match look.deserialize(&mut serde_json::Deserializer::from_str(schema.get())) {
            Ok(()) if references.is_circular() => {
                Err("A `$ref` of this schema leads back to itself.".into())
            }
            Ok(()) => Ok(Self(schema)),
            // The only data error is the error about the depth.
            Err(error) if error.is_data() => {
                Err(format!("A schema may be nested at most {DEPTH} levels deep.").into())
            }
            Err(_) => Err(
                "This schema has a number that is too large, or an incomplete character escape."
                    .into(),
            ),
        }
    }

    /// Returns the schema's text.
    pub fn json(&self) -> &RawValue {
        &self.0
    }
}

/// The location of the schema itself.
const ROOT: u64 = 0;

/// The locations of objects with a `$ref`, each with the location that the reference leads to. A
/// location is a hash of a JSON Pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)).
#[derive(Default)]
struct References {
    hashes: RandomState,
    lead: HashMap<u64, u64>,
}

impl References {
    fn child(&self, place: u64, segment: &str) -> u64 {
        self.hashes.hash_one((place, segment))
    }

    /// Resolves a `$ref` to a location in this schema.
    fn target(&self, reference: &str) -> Option<u64> {
        let pointer = reference.strip_prefix('#')?;
        if pointer.is_empty() {
            return Some(ROOT);
        }
        let segments = pointer.strip_prefix('/')?.split('/');
        let segments = segments.map(|segment| segment.replace("~1", "/").replace("~0", "~"));
        Some(segments.fold(ROOT, |place, segment| self.child(place, &segment)))
    }

    /// Returns true if a chain of references never leads to a schema.
    fn is_circular(&self) -> bool {
        let mut ended: HashSet<u64> = HashSet::new();
        for start in self.lead.keys() {
            let mut path = HashSet::new();
            let mut next = Some(*start);
            while let Some(place) = next.filter(|place| !ended.contains(place)) {
                if !path.insert(place) {
                    return true;
                }
                next = self.lead.get(&place).copied();
            }
            ended.extend(path);
        }
        false
    }
}

/// Checks one value in a schema.
struct SchemaCheck<'r> {
    /// The number of further levels that are allowed.
    depth: usize,
    place: u64,
    /// The location of the object whose `$ref` is this value.
    referring: Option<u64>,
    references: &'r mut References,
}

impl<'de> DeserializeSeed<'de> for SchemaCheck<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        let deeper = || de::Error::custom("too deep");
        let depth = self.depth.checked_sub(1).ok_or_else(deeper)?;
        json.deserialize_any(Self { depth, ..self })
    }
}

impl<'de> Visitor<'de> for SchemaCheck<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if let Some(object) = self.referring
            && let Some(target) = self.references.target(text)
        {
            self.references.lead.insert(object, target);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { depth, place, references, .. } = self;
        let mut number = 0_usize;
        loop {
            let place = references.child(place, &number.to_string());
            let look = SchemaCheck { depth, place, referring: None, references: &mut *references };
            if items.next_element_seed(look)?.is_none() {
                return Ok(());
            }
            number = number.saturating_add(1);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { depth, place: object, references, .. } = self;
        while let Some((place, is_reference)) =
            fields.next_key_seed(Name { object, references: &*references })?
        {
            let referring = is_reference.then_some(object);
            fields.next_value_seed(SchemaCheck {
                depth,
                place,
                referring,
                references: &mut *references,
            })?;
        }
        Ok(())
    }
}

/// Reads a field's name. Returns the field's location, and true if the name is `$ref`.
struct Name<'r> {
    object: u64,
    references: &'r References,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = (u64, bool);

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = (u64, bool);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok((self.references.child(self.object, name), name == "$ref"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(schema: &Value) -> Result<JsonSchema, Invalid> {
        JsonSchema::parse(serde_json::value::to_raw_value(schema).unwrap())
    }

    fn parse_text(schema: &str) -> Result<JsonSchema, Invalid> {
        JsonSchema::parse(RawValue::from_string(schema.to_owned()).unwrap())
    }

    #[test]
    fn recursive_schemas_are_accepted_unless_circular() {
        let children = json!({ "type": "array", "items": { "$ref": "#/$defs/node" } });
        let node = json!({ "type": "object", "properties": { "children": children } });
        parse(&json!({ "$ref": "#/$defs/node", "$defs": { "node": node } })).unwrap();
        parse(&json!({ "properties": { "next": { "$ref": "#" } } })).unwrap();
        parse(&json!({ "$ref": "https://example.com/schema.json" })).unwrap();
        parse(&json!({ "$ref": "#/nowhere" })).unwrap();
        parse(&json!({ "properties": { "$ref": { "$ref": "#/properties" } } })).unwrap();
        for circle in [
            json!({ "$ref": "#" }),
            json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "$ref": "#/$defs/a" } } }),
            json!({ "anyOf": [{}, { "$ref": "#/anyOf/1" }] }),
            json!({ "$defs": { "a/b~c": { "$ref": "#/$defs/a~1b~0c" } } }),
            json!({ "properties": { "$ref": { "$ref": "#/properties/$ref" } } }),
        ] {
            let refused = parse(&circle).unwrap_err();
            assert_eq!(
                refused.sentence(),
                "A `$ref` of this schema leads back to itself.",
                "{circle}"
            );
        }
    }

    #[test]
    fn schemas_are_readable_objects_of_limited_depth() {
        let deep = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({ "items": inner }));
        parse(&deep(DEPTH)).unwrap();
        for too_deep in [DEPTH + 1, 1000] {
            assert!(parse(&deep(too_deep)).unwrap_err().sentence().contains("at most 50 levels"));
        }
        for no_schema in [json!([]), json!("object"), json!(true), Value::Null] {
            assert_eq!(
                parse(&no_schema).unwrap_err().sentence(),
                "A schema must be a JSON object."
            );
        }
        for unreadable in [r#"{"maximum": 1e999}"#, r#"{"title": "\ud800"}"#, r#"{"\ud800": 1}"#] {
            let refused = parse_text(unreadable).unwrap_err();
            assert!(
                refused.sentence().starts_with("This schema has a number"),
                "{unreadable}: {refused}"
            );
        }
    }

    #[test]
    fn schemas_keep_the_order_of_their_properties() {
        let text = r#"{"type": "object", "properties": {"b": {}, "a": {}}}"#;
        assert_eq!(parse_text(text).unwrap().json().get(), text);
    }
}
