//! Finds strings in JSON by their positions, without building the values around them.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Receives the strings that [`find_texts`] finds in a JSON value.
pub trait TextFinder {
    /// The position of a value.
    type Place: Copy;

    /// Returns the position of a field's value.
    fn field(&self, object: Self::Place, name: &str) -> Self::Place;

    /// Returns the position of a list's element.
    fn element(&self, list: Self::Place, index: usize) -> Self::Place;

    /// Returns true if the value at this position should be read, and false if it should be
    /// skipped.
    fn reads(&mut self, place: Self::Place) -> bool;

    /// Receives the string at this position.
    fn text(&mut self, place: Self::Place, text: &str);
}

/// Passes the strings in a JSON value to `finder`. `place` is the position of the whole value.
///
/// # Errors
/// Returns an error if the JSON is invalid. `finder` has then received the strings before the
/// invalid part.
pub fn find_texts<F: TextFinder>(
    json: &[u8],
    place: F::Place,
    finder: &mut F,
) -> serde_json::Result<()> {
    Subtree { place, finder }.deserialize(&mut serde_json::Deserializer::from_slice(json))
}

/// Returns true if every number and string in a JSON value can be read, and the value isn't nested
/// too deeply.
pub fn is_readable(json: &str) -> bool {
    find_texts(json.as_bytes(), (), &mut Everything).is_ok()
}

/// Reads all strings.
struct Everything;

impl TextFinder for Everything {
    type Place = ();

    fn field(&self, (): (), _: &str) {}

    fn element(&self, (): (), _: usize) {}

    fn reads(&mut self, (): ()) -> bool {
        true
    }

    fn text(&mut self, (): (), _: &str) {}
}

/// A value that is read or skipped.
struct Subtree<'f, F: TextFinder> {
    place: F::Place,
    finder: &'f mut F,
}

impl<'de, F: TextFinder> DeserializeSeed<'de> for Subtree<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        match self.finder.reads(self.place) {
            true => json.deserialize_any(self),
            false => json.deserialize_ignored_any(IgnoredAny).map(drop),
        }
    }
}

impl<'de, F: TextFinder> Visitor<'de> for Subtree<'_, F> {
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
        self.finder.text(self.place, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { place: list, finder } = self;
        let mut index = 0;
        loop {
            let place = finder.element(list, index);
            if elements.next_element_seed(Subtree { place, finder: &mut *finder })?.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let Self { place: object, finder } = self;
        while let Some(name) = fields.next_key::<String>()? {
            let place = finder.field(object, &name);
            fields.next_value_seed(Subtree { place, finder: &mut *finder })?;
        }
        Ok(())
    }
}
