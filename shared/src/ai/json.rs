//! Reads JSON from servers that may send a value of an unexpected type. Each value is read
//! separately, so such a value never makes the rest unreadable.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use crate::values::whole;

/// A JSON value that is parsed only when a method reads it as a particular type.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(&'a RawValue);

/// A JSON object. If a name occurs twice, the last one counts, as in JavaScript and Python.
#[derive(Debug, Default)]
pub struct Object<'a>(HashMap<Cow<'a, str>, &'a RawValue>);

/// A JSON string. It may contain an escaped surrogate without its other half, because some servers
/// split a character between two pieces. A lone surrogate is encoded like any other code point
/// ([WTF-8](https://simonsapin.github.io/wtf-8/)).
#[derive(Debug, PartialEq, Eq)]
pub struct Wtf8(pub Vec<u8>);

/// Removes white space and a byte order mark before the first value. The rest is empty if the piece
/// contains nothing else.
pub fn without_blanks(piece: &[u8]) -> &[u8] {
    piece.get(piece.iter().take_while(|byte| is_blank(**byte)).count()..).unwrap_or_default()
}

/// Returns true for white space and the bytes of a byte order mark.
pub fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\xef\xbb\xbf".contains(&byte)
}

impl<'a> From<&'a RawValue> for Json<'a> {
    fn from(value: &'a RawValue) -> Self {
        Self(value)
    }
}

impl<'a> Json<'a> {
    /// Reads a string that consists of one value.
    pub fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    /// Returns the first value in a string, and the rest of the string. Returns `None` if the
    /// string ends before the value does.
    ///
    /// # Errors
    /// Returns an error if the string can't be the beginning of a value.
    pub fn first(text: &'a str) -> serde_json::Result<Option<(Self, &'a str)>> {
        let mut values = serde_json::Deserializer::from_str(text).into_iter();
        match values.next().transpose() {
            Ok(value) => {
                let rest = text.get(values.byte_offset()..).unwrap_or_default();
                Ok(value.map(|value| (Self(value), rest)))
            }
            Err(error) if error.is_eof() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the value's source.
    pub fn source(self) -> &'a str {
        self.0.get()
    }

    /// Returns true for null, false, zero, empty strings, empty lists and empty objects.
    pub fn is_nothing(self) -> bool {
        matches!(self.0.get(), "null" | "false" | "0" | "\"\"")
            || self.list().is_some_and(|list| list.is_empty())
            || self.object().is_some_and(|object| object.is_empty())
    }

    pub fn object(self) -> Option<Object<'a>> {
        serde_json::from_str(self.0.get()).ok().map(Object)
    }

    pub fn list(self) -> Option<Vec<Self>> {
        let list: Vec<&RawValue> = serde_json::from_str(self.0.get()).ok()?;
        Some(list.into_iter().map(Self).collect())
    }

    /// Returns a string, which may contain lone surrogates. A number is returned as its source.
    pub fn wtf8(self) -> Option<Wtf8> {
        match self.0.get().as_bytes().first()? {
            b'"' => serde_json::from_str(self.0.get()).ok(),
            b'-' | b'0'..=b'9' => Some(Wtf8(self.0.get().into())),
            _ => None,
        }
    }

    /// Returns a string, with U+FFFD for each lone surrogate. A number is returned as its source.
    pub fn text(self) -> Option<String> {
        self.wtf8().map(|text| text.lossy())
    }

    /// Returns a number. A string that contains a number is converted to this number.
    pub fn count(self) -> Option<u64> {
        let text = self.text()?;
        text.parse().ok().or_else(|| text.parse().ok().and_then(whole))
    }
}

impl<'a> Object<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value with this name, or `None` if it is null.
    pub fn get(&self, name: &str) -> Option<Json<'a>> {
        self.0.get(name).copied().filter(|value| value.get() != "null").map(Json)
    }
}

impl Wtf8 {
    /// Returns the string, with U+FFFD for each lone surrogate.
    pub fn lossy(self) -> String {
        String::from_utf8(self.0).unwrap_or_else(|error| {
            let mut pending = None;
            let mut text = Self(error.into_bytes()).join(&mut pending);
            text.extend(pending.map(|_| char::REPLACEMENT_CHARACTER));
            text
        })
    }

    /// Joins the string to `pending`, the high surrogate at the end of the previous piece, and
    /// returns the result. A high surrogate at the end of this piece becomes the next `pending`.
    pub fn join(self, pending: &mut Option<u16>) -> String {
        let mut bytes = self.0;
        if pending.is_none() {
            match String::from_utf8(bytes) {
                Ok(text) => return text,
                Err(error) => bytes = error.into_bytes(),
            }
        }
        let mut units: Vec<u16> = pending.take().into_iter().collect();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let valid = match std::str::from_utf8(rest) {
                Ok(text) => text,
                Err(error) => {
                    std::str::from_utf8(rest.get(..error.valid_up_to()).unwrap_or_default())
                        .unwrap_or_default()
                }
            };
            units.extend(valid.encode_utf16());
            rest = rest.get(valid.len()..).unwrap_or_default();
            // A surrogate consists of three bytes: 1110_1101, 101x_xxxx, 10xx_xxxx.
            if let [0xed, second @ 0xa0..=0xbf, third @ 0x80..=0xbf, after @ ..] = rest {
                units.push(0xd000 | u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f));
                rest = after;
            } else {
                // Other than surrogates, WTF-8 doesn't contain any invalid bytes.
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        *pending = units.pop_if(|last| (0xd800..0xdc00).contains(last));
        String::from_utf16_lossy(&units)
    }
}

impl<'de> Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        // serde_json accepts lone surrogates only in bytes.
        json.deserialize_byte_buf(Bytes).map(Self)
    }
}

struct Bytes;

impl Visitor<'_> for Bytes {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_characters_are_joined() {
        let join = |pieces: &[&str]| {
            let mut pending = None;
            let piece = |json: &&str| Json::parse(json).unwrap().wtf8().unwrap().join(&mut pending);
            let text: String = pieces.iter().map(piece).collect();
            (text, pending)
        };
        let whole = |text: &str| (text.to_owned(), None);
        assert_eq!(join(&[r#""Hi \ud83d""#, r#""\ude00!""#]), whole("Hi 😀!"));
        assert_eq!(join(&[r#""\ud83d""#, r#""""#, r#""\ude00""#]), whole("😀"));
        assert_eq!(join(&[r#""é\ud83d\ude00""#]), whole("é😀"));
        assert_eq!(join(&[r#""\ude00é""#]), whole("\u{fffd}é"));
        assert_eq!(join(&[r#""\ud83d""#, r#""é""#]), whole("\u{fffd}é"));
        assert_eq!(join(&[r#""é\ud83d""#]), ("é".into(), Some(0xd83d)));
        assert_eq!(Json::parse(r#""é\ud83d!""#).unwrap().text().unwrap(), "é\u{fffd}!");
        assert_eq!(Json::parse(r#""\ud83d""#).unwrap().text().unwrap(), "\u{fffd}");
    }

    #[test]
    fn values_are_read_by_their_meaning() {
        let read = |json| Json::parse(json).unwrap();
        assert_eq!(read("7").text().as_deref(), Some("7"));
        assert_eq!(read("{}").text(), None);
        for (json, count) in [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("7.0", Some(7)),
            ("7.5", None),
            ("-7", None),
            ("1e300", None),
            ("true", None),
            ("[7]", None),
        ] {
            assert_eq!(read(json).count(), count, "{json}");
        }
        for nothing in ["null", "false", "0", "\"\"", "[]", "{ }"] {
            assert!(read(nothing).is_nothing(), "{nothing}");
        }
        assert!(!read("{\"code\": 0}").is_nothing());
        let twice = read(r#"{"a": 1, "a": 2, "b": null}"#).object().unwrap();
        assert_eq!(twice.get("a").and_then(Json::count), Some(2));
        assert!(twice.get("b").is_none());
    }
}
