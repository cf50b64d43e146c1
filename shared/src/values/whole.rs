//! Whole numbers in requests.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A whole number of type `N`. In JSON, it may also be written with a zero fraction, such as
/// `25.0`, which is an integer in JSON Schema
/// ([`type`](https://json-schema.org/draft/2020-12/json-schema-validation#section-6.1.1)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<N>(pub N);

/// Returns the number if it is whole. `None` above 9e15, because a float can't represent every
/// whole number above 2^53.
pub fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}

impl<'de, N: TryFrom<u64>> Deserialize<'de> for Whole<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(OfType(PhantomData)).map(Self)
    }
}

struct OfType<N>(PhantomData<N>);

impl<N: TryFrom<u64>> Visitor<'_> for OfType<N> {
    type Value = N;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(type_name::<N>())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<N, E> {
        N::try_from(number).map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<N, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<N, E> {
        match whole(number) {
            Some(number) => self.visit_u64(number),
            None => Err(E::invalid_type(Unexpected::Float(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_have_a_fraction_of_zero() {
        let read = |text: &str| serde_json::from_str::<Whole<u32>>(text).ok().map(|Whole(n)| n);
        for text in ["25", "25.0", "2.5e1"] {
            assert_eq!(read(text), Some(25), "{text}");
        }
        for text in ["-1", "-1.0", "25.5", "1e99", "4294967296", "\"25\"", "true"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
