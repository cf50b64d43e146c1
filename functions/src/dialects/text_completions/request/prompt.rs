//! The prompt of a request. OpenAI's API also takes several prompts, and prompts of tokens. They
//! are recognised without keeping their elements, so that the refusal can say what to send.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use shared::error::REQUIRED;
use shared::values::Invalid;

/// A prompt in one of the forms of OpenAI's API.
pub(super) enum GivenPrompt {
    /// A text, or a list with one text.
    Text(String),
    /// An empty list.
    Nothing,
    /// A list that begins with a text and has more elements.
    Several,
    /// A list of tokens, or a list that begins with such a list.
    Tokens,
}

impl GivenPrompt {
    /// Returns the text.
    ///
    /// # Errors
    /// Returns an error unless the prompt is exactly one text.
    pub(super) fn text(self) -> Result<String, Invalid> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Nothing => Err(REQUIRED.into()),
            Self::Several => {
                Err("This API answers one prompt. Send a request for each prompt.".into())
            }
            Self::Tokens => {
                Err("This API doesn't know the models' tokens. Send the prompt as a text.".into())
            }
        }
    }
}

impl<'de> Deserialize<'de> for GivenPrompt {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(TextOrList)
    }
}

struct TextOrList;

impl<'de> Visitor<'de> for TextOrList {
    type Value = GivenPrompt;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or a list with one text")
    }

    fn visit_str<E>(self, text: &str) -> Result<GivenPrompt, E> {
        Ok(GivenPrompt::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<GivenPrompt, A::Error> {
        let Some(first) = elements.next_element::<Element>()? else {
            return Ok(GivenPrompt::Nothing);
        };
        let has_more = skip(&mut elements)?;
        Ok(match first {
            Element::Tokens => GivenPrompt::Tokens,
            Element::Text(_) if has_more => GivenPrompt::Several,
            Element::Text(text) => GivenPrompt::Text(text),
        })
    }
}

/// The first element of a list.
enum Element {
    Text(String),
    /// A token, or a list of tokens.
    Tokens,
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(TextOrTokens)
    }
}

struct TextOrTokens;

impl<'de> Visitor<'de> for TextOrTokens {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Text(text.to_owned()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Element, E> {
        Ok(Element::Tokens)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Element, A::Error> {
        skip(&mut elements)?;
        Ok(Element::Tokens)
    }
}

/// Reads a list to its end. Returns true if it had further elements.
fn skip<'de, A: SeqAccess<'de>>(elements: &mut A) -> Result<bool, A::Error> {
    let mut has_more = false;
    while elements.next_element::<IgnoredAny>()?.is_some() {
        has_more = true;
    }
    Ok(has_more)
}
