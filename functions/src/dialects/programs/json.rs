//! Deserializes values that may be a string or a different type, and lists with a limited length.
//! An `untagged` enum would first buffer the JSON, and an unlimited list would keep all elements.
//! Such a buffer or list could need many times as much memory as the body.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Reads a list with at most `most` elements, or null.
pub(crate) fn at_most<'de, D, T>(
    json: D,
    most: usize,
    of: &'static str,
) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    json.deserialize_option(Nullable(List { most, of, element: PhantomData }))
}

/// Reads a list with at most `most` elements.
pub(crate) fn list<'de, D, T>(json: D, most: usize, of: &'static str) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    json.deserialize_seq(List { most, of, element: PhantomData })
}

/// Reads an object, or null. The implementations that serde derives also accept a list with the
/// values of all fields.
pub(crate) fn object<'de, D, T>(json: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    json.deserialize_option(Nullable(Object(PhantomData)))
}

/// Reads a string or a list. A list may contain at most `most` elements.
pub(crate) fn text_or_list<'de, D, T, V>(
    json: D,
    (most, of): (usize, &'static str),
    text: fn(String) -> V,
    list: fn(Vec<T>) -> V,
) -> Result<V, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    json.deserialize_any(TextOrList {
        list: List { most, of, element: PhantomData },
        text,
        of_list: list,
    })
}

/// Reads a string, or an object.
pub(crate) fn text_or_object<'de, D, T, V>(
    json: D,
    expected: &'static str,
    text: fn(String) -> V,
    object: fn(T) -> V,
) -> Result<V, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    json.deserialize_any(TextOrObject { expected, text, object })
}

struct List<T> {
    most: usize,
    /// The name of the list's elements, for error messages.
    of: &'static str,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {}", self.of)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let Self { most, of, .. } = self;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == most {
                return Err(de::Error::custom(format!("This list can have at most {most} {of}")));
            }
            list.push(element);
        }
        Ok(list)
    }
}

/// Reads the JSON of an object, or null.
pub(crate) fn raw_object<'de, D>(json: D) -> Result<Option<Box<RawValue>>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw: Option<Box<RawValue>> = Option::deserialize(json)?;
    match raw.as_ref().is_none_or(|raw| raw.get().starts_with('{')) {
        true => Ok(raw),
        false => Err(de::Error::custom("This must be an object")),
    }
}

/// Reads a value as this type, or null.
struct Nullable<V>(V);

/// A visitor that requests the type that it expects.
trait Typed<'de>: Visitor<'de> {
    fn read<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error>;
}

impl<'de, T: Deserialize<'de>> Typed<'de> for List<T> {
    fn read<D: Deserializer<'de>>(self, json: D) -> Result<Vec<T>, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Typed<'de> for Object<T> {
    fn read<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, V: Typed<'de>> Visitor<'de> for Nullable<V> {
    type Value = Option<V::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        self.0.read(json).map(Some)
    }
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

struct TextOrList<T, V> {
    list: List<T>,
    text: fn(String) -> V,
    of_list: fn(Vec<T>) -> V,
}

impl<'de, T: Deserialize<'de>, V> Visitor<'de> for TextOrList<T, V> {
    type Value = V;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a text, or a list of {}", self.list.of)
    }

    fn visit_str<E>(self, text: &str) -> Result<V, E> {
        Ok((self.text)(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<V, A::Error> {
        self.list.visit_seq(elements).map(self.of_list)
    }
}

struct TextOrObject<T, V> {
    expected: &'static str,
    text: fn(String) -> V,
    object: fn(T) -> V,
}

impl<'de, T: Deserialize<'de>, V> Visitor<'de> for TextOrObject<T, V> {
    type Value = V;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E>(self, text: &str) -> Result<V, E> {
        Ok((self.text)(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(self.object)
    }
}
