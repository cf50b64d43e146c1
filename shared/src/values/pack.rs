//! Packs of credits, which users buy.

use std::collections::HashSet;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::price_list::hash_of;
use super::text::without_byte_order_mark;
use super::{Problem, Reason};
use crate::Credits;

/// The maximum number of packs.
const PACKS: usize = 20;

/// The maximum length of a pack's id.
const ID: usize = 32;

/// The maximum price, in the currency's smallest unit
/// ([Stripe](https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)).
const PRICE: u64 = 99_999_999;

/// A number of credits that is sold at a fixed price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The id that clients use to select the pack: 1 to 32 lower-case letters, digits and hyphens.
    #[schema(pattern = "^[a-z0-9-]{1,32}$", examples("small"))]
    pub id: String,
    /// The name that users see when they pay.
    #[schema(value_type = Reason, examples("1,000 tokens"))]
    pub name: String,
    /// The number of tokens.
    #[schema(minimum = 1, examples(1000))]
    pub tokens: Credits,
    /// The price in the currency's smallest unit: cents, or whole yen.
    #[schema(minimum = 1, maximum = 99_999_999, examples(499))]
    pub price: u64,
    /// The currency, in three capital letters
    /// ([ISO 4217](https://www.iso.org/iso-4217-currency-codes.html)).
    #[schema(pattern = "^[A-Z]{3}$", examples("EUR"))]
    pub currency: String,
}

/// The packs that an operator sells.
///
/// ```
/// use shared::values::Packs;
///
/// let packs = r#"{"packs": [{"id": "small", "name": "1,000 tokens", "tokens": 1000, "price": 499, "currency": "EUR"}]}"#;
/// assert_eq!(packs.parse::<Packs>().unwrap().pack("small").unwrap().price, 499);
///
/// let problems = packs.replace("499", "0").parse::<Packs>().unwrap_err();
/// assert_eq!(problems[0].field, "packs[0].price");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packs {
    /// The packs, in the order in which they are shown.
    pub packs: Vec<Pack>,
}

impl Packs {
    /// Checks the packs, and reports every problem.
    ///
    /// # Errors
    /// Fails if there are no packs, or if a pack contains an invalid field.
    pub fn new(packs: Vec<Pack>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        if !(1..=PACKS).contains(&packs.len()) {
            let sentence = format!("This must be a list of 1 to {PACKS} packs.");
            problems.push(Problem { field: "packs".into(), sentence });
        }
        let mut ids = HashSet::new();
        for (index, pack) in packs.iter().enumerate() {
            let mut note = |field: &str, sentence: String| {
                problems.push(Problem { field: format!("packs[{index}].{field}"), sentence });
            };
            let Pack { id, name, tokens, price, currency } = pack;
            let is_id = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
            if !(1..=ID).contains(&id.len()) || !id.bytes().all(is_id) {
                note("id", format!("An id has 1 to {ID} lower-case letters, digits and hyphens."));
            } else if !ids.insert(id) {
                note("id", "Another pack has this id.".into());
            }
            if let Err(sentence) = Reason::parse(name) {
                note("name", sentence.sentence().replace("A reason", "A name"));
            }
            if let Err(invalid) = Credits::positive(tokens.get()) {
                note("tokens", invalid.sentence().to_owned());
            }
            if !(1..=PRICE).contains(price) {
                note(
                    "price",
                    format!(
                        "This must be a whole number from 1 to {PRICE}, in the currency's smallest unit."
                    ),
                );
            }
            if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
                note("currency", "A currency has three capital letters, such as USD.".into());
            }
        }
        if problems.is_empty() { Ok(Self { packs }) } else { Err(problems) }
    }

    /// Returns the pack with this id.
    pub fn pack(&self, id: &str) -> Option<&Pack> {
        self.packs.iter().find(|pack| pack.id == id)
    }

    /// Returns the packs as JSON with their fields in a fixed order.
    pub fn canonical(&self) -> String {
        // This can't fail, because packs contain only strings and numbers.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the version, which is the beginning of the canonical JSON's hash.
    pub fn version(&self) -> String {
        hash_of(&self.canonical())
    }
}

impl FromStr for Packs {
    type Err = Vec<Problem>;

    /// Reads packs from JSON, and reports every problem. A byte order mark is ignored.
    fn from_str(json: &str) -> Result<Self, Vec<Problem>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Read {
            packs: Vec<Pack>,
        }
        let mut json = serde_json::Deserializer::from_str(without_byte_order_mark(json));
        let read: Result<Read, _> = serde_path_to_error::deserialize(&mut json);
        let Read { packs } = read.map_err(|error| match error.inner().is_data() {
            true => vec![Problem::of_types(&error)],
            false => {
                let sentence = format!("This isn't JSON: {}.", error.inner());
                vec![Problem { field: String::new(), sentence }]
            }
        })?;
        Self::new(packs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_the_field() {
        let pack = r#"{"id": "a", "name": "A", "tokens": 10, "price": 100, "currency": "USD"}"#;
        let list = |packs: &str| format!("{{\"packs\": [{packs}]}}").parse::<Packs>();
        assert!(list(pack).is_ok());
        assert!(format!("\u{feff}{{\"packs\": [{pack}]}}").parse::<Packs>().is_ok());
        for (wrong, field) in [
            (String::new(), "packs"),
            (format!("{pack}, {pack}"), "packs[1].id"),
            (pack.replace("\"a\"", "\"A b\""), "packs[0].id"),
            (pack.replace("\"A\"", "\"\""), "packs[0].name"),
            (pack.replace("\"A\"", "\"\u{200b}\""), "packs[0].name"),
            (pack.replace("10,", "0,"), "packs[0].tokens"),
            (pack.replace("10,", "1000000000001,"), "packs[0].tokens"),
            (pack.replace("100,", "1.5,"), "packs[0].price"),
            (pack.replace("100,", "100000000,"), "packs[0].price"),
            (pack.replace("USD", "usd"), "packs[0].currency"),
            (pack.replace("price", "cents"), "packs[0].cents"),
        ] {
            let problems = list(&wrong).unwrap_err();
            assert_eq!(problems.len(), 1, "{wrong}: {problems:?}");
            assert_eq!(problems[0].field, field, "{wrong}: {problems:?}");
        }
    }
}
