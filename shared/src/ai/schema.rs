//! JSON Schemas for functions and answers.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use serde_json::value::{RawValue, to_raw_value};

use crate::ai::texts::{TextFinder, find_texts};
use crate::values::Invalid;

/// The maximum number of levels in a schema.
const DEPTH: usize = 50;

/// A JSON Schema as the client wrote it. The order of the properties is kept, because models follow
/// it. The order is lost only for Bedrock.
#[derive(Clone, Debug)]
pub struct JsonSchema(Box<RawValue>);

impl JsonSchema {
    /// Checks the schema without building a JSON value. Parsed into JSON values, small objects
    /// would need a hundred times the memory of their source.
    ///
    /// Returns an error if the schema isn't an object, is nested too deeply, contains text that
    /// JSON parsers can't read, or contains references that only point to each other in a circle. A
    /// schema may contain itself.
    pub fn parse(schema: Box<RawValue>) -> Result<Self, Invalid> {
        if !schema.get().starts_with('{') {
            return Err("A schema must be a JSON object.".into());
        }
        let mut references = References::default();
        let whole = Location { hash: ROOT, level: 1, referring: None };
        match find_texts(schema.get().as_bytes(), whole, &mut references) {
            _ if references.is_too_deep => {
                Err(format!("A schema may be nested at most {DEPTH} levels deep.").into())
            }
            Ok(()) if references.is_circular() => {
                Err("A `$ref` of this schema leads back to itself.".into())
            }
            Ok(()) => Ok(Self(schema)),
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

    /// Returns true if only objects conform to the schema, as far as its outermost keywords say.
    pub(super) fn is_of_object(&self) -> bool {
        let keywords = self.keywords();
        match keywords.get("type") {
            Some(kind) => kind.get() == "\"object\"",
            None => !OF_ANY_TYPE.iter().any(|keyword| keywords.contains_key(*keyword)),
        }
    }

    /// Returns the schema with the type `object` if it has no type, because Anthropic requires a
    /// type.
    ///
    /// # Errors
    /// Returns an error if the schema can't be written.
    pub(super) fn typed(&self) -> serde_json::Result<Cow<'_, RawValue>> {
        let object = to_raw_value("object")?;
        let mut keywords = self.keywords();
        if keywords.contains_key("type") {
            return Ok(Cow::Borrowed(self.json()));
        }
        keywords.insert("type".to_owned(), &object);
        to_raw_value(&keywords).map(Cow::Owned)
    }

    /// Returns the schema of an object with a required field for which this schema holds.
    ///
    /// # Errors
    /// Returns an error if the schema can't be written.
    pub(super) fn in_field(&self, name: &str) -> serde_json::Result<Self> {
        let mut inner = self.keywords();
        let mut outer: BTreeMap<String, Box<RawValue>> = BTreeMap::new();
        // References in a schema are resolved from its root, so its definitions must stay at the
        // root.
        for defined in ["$defs", "definitions"] {
            if let Some((keyword, definitions)) = inner.remove_entry(defined) {
                outer.insert(keyword, definitions.to_owned());
            }
        }
        outer.insert("properties".to_owned(), to_raw_value(&BTreeMap::from([(name, inner)]))?);
        outer.insert("required".to_owned(), to_raw_value(&[name])?);
        outer.insert("type".to_owned(), to_raw_value("object")?);
        to_raw_value(&outer).map(Self)
    }

    /// Returns the outermost keywords.
    fn keywords(&self) -> BTreeMap<String, &RawValue> {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

/// The keywords that may describe something other than an object.
const OF_ANY_TYPE: [&str; 6] = ["allOf", "anyOf", "const", "enum", "not", "oneOf"];

/// The hash of the root schema's location.
const ROOT: u64 = 0;

/// The location of a value in a schema.
#[derive(Clone, Copy)]
struct Location {
    /// A hash of the JSON Pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)).
    hash: u64,
    /// The value's level. The root schema's level is 1.
    level: usize,
    /// If this value is a `$ref`, the hash of the surrounding object's location.
    referring: Option<u64>,
}

/// The location of each object with a `$ref`, and the location to which the reference points. Both
/// are hashes.
#[derive(Default)]
struct References {
    hashes: RandomState,
    lead: HashMap<u64, u64>,
    is_too_deep: bool,
}

impl References {
    fn child(&self, place: u64, segment: &str) -> u64 {
        self.hashes.hash_one((place, segment))
    }

    /// Returns the location of a value in an object or a list.
    fn inside(&self, outer: Location, segment: &str) -> Location {
        let hash = self.child(outer.hash, segment);
        Location { hash, level: outer.level + 1, referring: None }
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

impl TextFinder for References {
    type Place = Location;

    fn field(&self, object: Location, name: &str) -> Location {
        let referring = (name == "$ref").then_some(object.hash);
        Location { referring, ..self.inside(object, name) }
    }

    fn element(&self, list: Location, index: usize) -> Location {
        self.inside(list, &index.to_string())
    }

    fn reads(&mut self, place: Location) -> bool {
        let is_too_deep = place.level > DEPTH;
        self.is_too_deep |= is_too_deep;
        !is_too_deep
    }

    fn text(&mut self, place: Location, text: &str) {
        if let Some(object) = place.referring
            && let Some(target) = self.target(text)
        {
            self.lead.insert(object, target);
        }
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
