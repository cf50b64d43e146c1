//! API keys, with which programs call the API: `sk-`, the key's id, and 256 random bits, of which
//! the store keeps only a hash. The whole text is shown once, when the key is created.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::user::turns_text;
use crate::{Error, Result};

/// How the text of every key begins.
const PREFIX: &str = "sk-";

/// The random bytes of a key.
const BYTES: usize = 32;

/// How many of a key's last characters lists show, so that its owner can recognize it.
const HINT: usize = 4;

/// The most characters of a key's name.
pub(crate) const NAME_LENGTH: usize = 100;

/// An API key with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    id: Uuid,
    secret: [u8; BYTES],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, redacted)", self.id)
    }
}

impl ApiKey {
    /// A new key with this id.
    pub fn random(id: Uuid) -> Result<Self> {
        let mut secret = [0; BYTES];
        rand::fill(&mut secret).map_err(|_| Error::Internal("no randomness".into()))?;
        Ok(Self { id, secret })
    }

    /// Parses the key that a client sent, which must be exactly as it was shown.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] if the text isn't an API key.
    pub fn parse(text: &str) -> Result<Self> {
        let (id, secret) = text
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split_once('-'))
            .ok_or(Error::InvalidToken)?;
        let id = Uuid::try_parse(id).ok().filter(|uuid| uuid.simple().to_string() == id);
        let secret =
            BASE64_URL_SAFE_NO_PAD.decode(secret).ok().and_then(|bytes| bytes.try_into().ok());
        id.zip(secret).map(|(id, secret)| Self { id, secret }).ok_or(Error::InvalidToken)
    }

    /// Whether a text begins like an API key.
    pub fn looks_like(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The whole text: `sk-`, the id as 32 hexadecimal digits, `-`, and the secret in base64url,
    /// 43 characters.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}-{}", self.id.simple(), BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// The id, by which the store finds it.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The hash of the secret, which the store keeps. The secret is random, so the hash needs no
    /// salt.
    pub fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.secret))
    }

    /// The last characters of the text, for lists.
    pub fn hint(&self) -> String {
        let text = self.text();
        text.get(text.len() - HINT..).unwrap_or_default().to_owned()
    }

    /// Whether the secret has this hash. Takes the same time wherever they differ.
    pub fn matches(&self, hash: &str) -> bool {
        verify_slices_are_equal(self.hash().as_bytes(), hash.as_bytes()).is_ok()
    }
}

/// The owner's name for a key, such as the program that uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// 1 to 100 characters without the white space around them. No control characters, and none
    /// that change the direction of text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if !(1..=NAME_LENGTH).contains(&text.chars().count()) {
            return Err(format!("A key's name must have 1 to {NAME_LENGTH} characters."));
        }
        if text.chars().any(char::is_control) {
            return Err("A key's name must not have control characters.".into());
        }
        if text.chars().any(turns_text) {
            return Err(
                "A key's name must not have characters that change the direction of text.".into()
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub fn text(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey::random(Uuid::from_u128(0x01a1_f7d1_6dd1_703a_9600_a369_c763_25b7)).unwrap()
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = key();
        let text = key.text();
        assert_eq!((text.len(), &text[..36]), (79, "sk-01a1f7d16dd1703a9600a369c76325b7-"));
        assert_eq!(ApiKey::parse(&text), Ok(key.clone()));
        assert_eq!(key.id().to_string(), "01a1f7d1-6dd1-703a-9600-a369c76325b7");
        assert!(text.ends_with(&key.hint()) && key.hint().len() == 4);
    }

    #[test]
    fn what_differs_in_a_letter_is_no_key_or_another_one() {
        let text = key().text();
        let (head, secret) = text.split_at(36);
        for bad in [
            "",
            "sk-",
            "sk--",
            secret,
            &text[1..],
            &text[..78],
            &format!("{text}A"),
            &format!("{text}="),
            &format!(" {text}"),
            &format!("{text}\n"),
            &text.replacen("sk-", "SK-", 1),
            &text.replacen("01a1f7d1", "01A1F7D1", 1),
            &format!("sk-01a1f7d1-6dd1-703a-9600-a369c76325b7-{secret}"),
            &format!("{}{}", head.replace("01a1", "01g1"), secret),
            &format!("{head}{}", "\u{e9}".repeat(43)),
            // The last letter holds two bits that belong to no byte.
            &format!("{head}{}B", &secret[..42]),
        ] {
            assert_eq!(ApiKey::parse(bad), Err(Error::InvalidToken), "{bad}");
        }
        let other = ApiKey::parse(&format!("{head}{}", "A".repeat(43))).unwrap();
        assert_ne!(other, ApiKey::parse(&text).unwrap());
    }

    #[test]
    fn a_key_matches_its_own_hash_alone_and_shows_its_secret_nowhere() {
        let (one, other) = (key(), key());
        assert!(one.matches(&one.hash()));
        for hash in
            [other.hash().as_str(), "", &one.hash()[..42], &one.text(), &one.hash().to_uppercase()]
        {
            assert!(!one.matches(hash), "{hash}");
        }
        assert!(!one.text().contains(&one.hash()));
        let shown = format!("{one:?}");
        assert!(
            shown.contains(&one.id().to_string())
                && !shown.contains(&one.text()[36..])
                && !shown.contains(&one.hint()),
            "{shown}"
        );
    }

    #[test]
    fn a_key_has_a_name_of_a_hundred_characters_on_one_line() {
        assert_eq!(KeyName::parse(" build server \n").unwrap().text(), "build server");
        assert!(KeyName::parse(&"\u{e9}".repeat(100)).is_ok());
        for bad in [
            "",
            " ",
            "\t\n",
            "a\nb",
            "a\0",
            "a\u{85}b",
            "a\u{202e}b",
            "\u{200f}a",
            &"x".repeat(101),
        ] {
            assert!(KeyName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
