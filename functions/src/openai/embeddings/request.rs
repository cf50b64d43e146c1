//! Requests to `POST /v1/embeddings`.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::{Value, json};
use shared::Result;
use shared::ai::{EmbeddingInput, EmbeddingRequest, MOST_DIMENSIONS};
use shared::error::{FieldErrors, REQUIRED};
use shared::values::Invalid;
use utoipa::ToSchema;

/// The maximum number of texts, as on OpenAI's servers.
const MOST_TEXTS: usize = 2048;

/// The maximum number of token ids in a text.
const MOST_IDS: usize = 8192;

/// The maximum number of token ids in a request.
const MOST_IDS_OF_ALL: usize = 300_000;

#[derive(serde::Deserialize, ToSchema)]
#[schema(
    as = EmbeddingRequest,
    examples(json!({ "model": "echo", "input": ["Hello!", "Good morning!"] })),
)]
pub(super) struct Body {
    /// The name of a model for embeddings in the price list, in upper or lower case, with or
    /// without a provider prefix (`openai/`).
    #[schema(required, value_type = String)]
    model: Option<String>,
    /// A text, a list of texts, a list of token ids, or a list of such lists. No text may be empty.
    #[schema(required, value_type = Value)]
    input: Option<Input>,
    /// Whether vectors are lists of numbers, or the base64 of little-endian 32-bit numbers.
    encoding_format: Option<Encoding>,
    /// The number of dimensions of each vector, for models that offer a choice.
    dimensions: Option<f64>,
}

/// The form of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, ToSchema)]
#[schema(as = EmbeddingEncoding)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    #[default]
    Float,
    Base64,
}

/// A request whose fields are valid.
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) request: EmbeddingRequest,
    pub(super) encoding: Encoding,
}

/// Returns the constraints that [`Body::read`] enforces in addition to the fields' types.
pub(super) fn limits() -> Value {
    let text = json!({ "type": "string", "minLength": 1 });
    let id = json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX });
    let ids = json!({ "type": "array", "items": id, "minItems": 1, "maxItems": MOST_IDS });
    let list_of = |items: &Value| json!({ "type": "array", "items": items, "minItems": 1, "maxItems": MOST_TEXTS });
    json!({
        "properties": {
            "model": { "minLength": 1 },
            "input": { "oneOf": [text, list_of(&text), ids, list_of(&ids)] },
            "dimensions": {
                "anyOf": [
                    { "type": "integer", "minimum": 1, "maximum": MOST_DIMENSIONS },
                    { "type": "null" },
                ],
            },
        },
    })
}

impl Body {
    /// Returns the request.
    ///
    /// # Errors
    /// Returns [`Error::Invalid`](shared::Error::Invalid) with each invalid field.
    pub(super) fn read(self) -> Result<Asked> {
        let mut errors = FieldErrors::default();
        let model = self.model.filter(|model| !model.is_empty());
        let model = errors.check("model", model.ok_or(REQUIRED));
        let input = self.input.ok_or_else(|| Invalid::from(REQUIRED)).and_then(Input::checked);
        let input = errors.check("input", input);
        let dimensions = errors.check("dimensions", dimensions(self.dimensions)).flatten();
        let (Some(model), Some(input), true) = (model, input, errors.is_empty()) else {
            return Err(errors.into_error());
        };
        let encoding = self.encoding_format.unwrap_or_default();
        Ok(Asked { model, request: EmbeddingRequest { input, dimensions }, encoding })
    }
}

/// Validates the number of dimensions.
fn dimensions(number: Option<f64>) -> Result<Option<u32>, String> {
    let Some(number) = number else { return Ok(None) };
    let most = u32::try_from(MOST_DIMENSIONS).unwrap_or(u32::MAX);
    match (1.0..=f64::from(most)).contains(&number) && number.fract() == 0.0 {
        true => Ok(Some(number as u32)),
        false => Err(format!("This must be a whole number from 1 to {most}.")),
    }
}

/// The field `input`. Its lists have at most as many elements as the limits allow, so that a body
/// can't take much more memory than its own size.
struct Input(EmbeddingInput);

impl Input {
    /// Returns the texts.
    ///
    /// # Errors
    /// Returns an error if there is no text, a text is empty, or there are too many token ids.
    fn checked(self) -> Result<EmbeddingInput, Invalid> {
        let (count, has_empty) = match &self.0 {
            EmbeddingInput::Texts(texts) => (0, texts.iter().any(String::is_empty)),
            EmbeddingInput::Tokens(lists) => {
                (lists.iter().map(Vec::len).sum(), lists.iter().any(Vec::is_empty))
            }
        };
        if has_empty || self.0.count() == 0 {
            return Err("Each text must have at least one character or token.".into());
        }
        if count > MOST_IDS_OF_ALL {
            return Err(format!("A request can have at most {MOST_IDS_OF_ALL} tokens.").into());
        }
        Ok(self.0)
    }
}

impl<'de> Deserialize<'de> for Input {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(TextOrList)
    }
}

struct TextOrList;

impl<'de> Visitor<'de> for TextOrList {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a list of texts, or lists of token ids")
    }

    fn visit_str<E>(self, text: &str) -> Result<Input, E> {
        Ok(Input(EmbeddingInput::Texts(vec![text.to_owned()])))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Input, A::Error> {
        let input = match elements.next_element()? {
            None => EmbeddingInput::Texts(Vec::new()),
            Some(Element::Text(text)) => EmbeddingInput::Texts(rest(vec![text], elements)?),
            Some(Element::Ids(ids)) => {
                let lists = rest(vec![Ids(ids)], elements)?;
                EmbeddingInput::Tokens(lists.into_iter().map(Ids::numbers).collect())
            }
            Some(Element::Id(id)) => {
                let ids = Ids(up_to(MOST_IDS, "tokens", vec![id], elements)?);
                EmbeddingInput::Tokens(vec![ids.numbers()])
            }
        };
        Ok(Input(input))
    }
}

/// Reads the rest of a list with a text in each element.
fn rest<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    list: Vec<T>,
    elements: A,
) -> Result<Vec<T>, A::Error> {
    up_to(MOST_TEXTS, "texts", list, elements)
}

/// Adds elements to a list of at most `most` elements.
fn up_to<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(
    most: usize,
    of: &str,
    mut list: Vec<T>,
    mut elements: A,
) -> Result<Vec<T>, A::Error> {
    while let Some(element) = elements.next_element()? {
        if list.len() == most {
            return Err(de::Error::custom(format!("This list can have at most {most} {of}")));
        }
        list.push(element);
    }
    Ok(list)
}

/// The first element of a list, which determines the type of the other elements.
enum Element {
    Text(String),
    Id(Id),
    Ids(Vec<Id>),
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(AnyElement)
    }
}

struct AnyElement;

impl<'de> Visitor<'de> for AnyElement {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a token id, or a list of token ids")
    }

    fn visit_str<E>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Text(text.to_owned()))
    }

    fn visit_u64<E: de::Error>(self, id: u64) -> Result<Element, E> {
        self.visit_f64(id as f64)
    }

    fn visit_f64<E: de::Error>(self, id: f64) -> Result<Element, E> {
        Id::read(id).map(Element::Id)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Element, A::Error> {
        up_to(MOST_IDS, "tokens", Vec::new(), elements).map(Element::Ids)
    }
}

/// A token id. In JSON, `7.0` is a whole number too.
struct Id(u32);

impl Id {
    fn read<E: de::Error>(number: f64) -> Result<Self, E> {
        match (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0 {
            true => Ok(Self(number as u32)),
            false => Err(E::custom("A token id is a whole number of at most 32 bits")),
        }
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        f64::deserialize(json).and_then(Self::read)
    }
}

/// A list of token ids.
struct Ids(Vec<Id>);

impl Ids {
    fn numbers(self) -> Vec<u32> {
        self.0.into_iter().map(|Id(number)| number).collect()
    }
}

impl<'de> Deserialize<'de> for Ids {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_seq(AnyIds)
    }
}

struct AnyIds;

impl<'de> Visitor<'de> for AnyIds {
    type Value = Ids;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of token ids")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Ids, A::Error> {
        up_to(MOST_IDS, "tokens", Vec::new(), elements).map(Ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(json: &str) -> Result<EmbeddingInput, String> {
        let input: Input = serde_json::from_str(json).map_err(|error| error.to_string())?;
        input.checked().map_err(|error| error.sentence().to_owned())
    }

    #[test]
    fn inputs_are_texts_or_token_ids() {
        let texts = |texts: &[&str]| {
            Ok(EmbeddingInput::Texts(texts.iter().map(|&text| text.to_owned()).collect()))
        };
        let tokens = |lists: &[&[u32]]| {
            Ok(EmbeddingInput::Tokens(lists.iter().map(|ids| ids.to_vec()).collect()))
        };
        assert_eq!(input(r#""a""#), texts(&["a"]));
        assert_eq!(input(r#"["a", " "]"#), texts(&["a", " "]));
        assert_eq!(input("[1, 2]"), tokens(&[&[1, 2]]));
        assert_eq!(input("[1.0, 2e0]"), tokens(&[&[1, 2]]));
        assert_eq!(input("[[1.0], [2.0]]"), tokens(&[&[1], &[2]]));
        assert_eq!(input("[[1, 4294967295], [3]]"), tokens(&[&[1, u32::MAX], &[3]]));
    }

    #[test]
    fn empty_mixed_and_long_inputs_are_refused() {
        for json in ["[]", r#""""#, r#"["a", ""]"#, "[[]]", "[[1], []]"] {
            assert!(input(json).unwrap_err().contains("at least one"), "{json}");
        }
        for json in [
            "7",
            "null",
            "{}",
            r#"["a", 1]"#,
            r#"[1, "a"]"#,
            "[[1], 2]",
            "[1, [2]]",
            "[-1]",
            "[1.5]",
            "[4294967296]",
            "[[4294967296]]",
            r#"[["a"]]"#,
            "[[[1]]]",
            "[null]",
        ] {
            assert!(input(json).is_err(), "{json}");
        }
        let list = |element: &str, count| format!("[{}]", vec![element; count].join(","));
        let most = [(r#""a""#, MOST_TEXTS), ("[1]", MOST_TEXTS), ("1", MOST_IDS)];
        for (element, most) in most {
            assert!(input(&list(element, most)).is_ok());
            assert!(input(&list(element, most + 1)).unwrap_err().contains("at most"));
        }
        let long = list("1", MOST_IDS);
        assert!(input(&list(&long, 36)).is_ok());
        assert!(input(&list(&long, 37)).unwrap_err().contains("300000"));
        assert!(input(&format!("[{}]", list("1", MOST_IDS + 1))).is_err());
    }
}
