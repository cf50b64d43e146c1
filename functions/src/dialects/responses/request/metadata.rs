//! A request's `metadata`: pairs of strings that the response repeats.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

/// The maximum number of pairs, and the maximum number of characters in a name and in a value.
pub(super) const PAIRS: (usize, usize, usize) = (16, 64, 512);

pub(super) struct Metadata(pub(super) BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Metadata, A::Error> {
        let (most, of_name, of_value) = PAIRS;
        let is_longer = |text: &str, most: usize| text.chars().count() > most;
        let mut pairs = BTreeMap::new();
        while let Some((name, value)) = fields.next_entry::<String, String>()? {
            if pairs.len() == most || is_longer(&name, of_name) || is_longer(&value, of_value) {
                return Err(de::Error::custom(format!(
                    "This must have at most {most} pairs, with names of at most {of_name} characters and values of at most {of_value}"
                )));
            }
            pairs.insert(name, value);
        }
        Ok(Metadata(pairs))
    }
}
