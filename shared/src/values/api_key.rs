//! API keys, which programs use to call the API. An API key consists of `sk-`, an id and a secret
//! of 256 random bits. The store contains only a hash of the secret. The whole key is shown once,
//! when it is created.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::values::text::{is_blank, turns_text};
use crate::values::{Account, Credits, Invalid, KeyLimit, LimitPeriod, Restrictions};

/// The maximum number of API keys that an account can have.
pub const API_KEYS: u32 = 50;

/// How many of an account's API keys can have a limit, at most. The account contains at least one
/// purse for each of these keys.
pub const LIMITED_KEYS: u32 = 20;

/// The prefix of every API key.
const PREFIX: &str = "sk-";

/// How many random bytes an API key's secret consists of.
const SECRET_BYTES: usize = 32;

/// The number of an API key's last characters that lists show, so that the owner can recognize the
/// key.
const HINT: usize = 4;

/// The maximum length of an API key's name, in characters.
pub(crate) const NAME_LENGTH: usize = 100;

/// An API key with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    id: Uuid,
    secret: [u8; SECRET_BYTES],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, redacted)", self.id)
    }
}

impl ApiKey {
    /// Creates an API key with this id and a random secret.
    ///
    /// # Errors
    /// Fails if the operating system can't provide random bytes.
    pub fn random(id: Uuid) -> Result<Self, Unspecified> {
        let mut secret = [0; SECRET_BYTES];
        rand::fill(&mut secret)?;
        Ok(Self { id, secret })
    }

    /// Parses an API key that a client sent. `text` must be exactly the key that was shown to the
    /// owner.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('-')?;
        let id = Uuid::try_parse(id).ok().filter(|uuid| uuid.simple().to_string() == id);
        let secret =
            BASE64_URL_SAFE_NO_PAD.decode(secret).ok().and_then(|bytes| bytes.try_into().ok());
        id.zip(secret).map(|(id, secret)| Self { id, secret })
    }

    /// Returns true if `text` begins like an API key.
    pub fn looks_like(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Returns the whole key: `sk-`, the id as 32 hexadecimal digits, `-`, and the secret as 43
    /// characters of base64url.
    pub fn text(&self) -> String {
        format!("{PREFIX}{}-{}", self.id.simple(), BASE64_URL_SAFE_NO_PAD.encode(self.secret))
    }

    /// Returns the id. The API key is stored under this id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Returns the secret's hash. The store keeps only this hash, which doesn't need a salt because
    /// the secret is random.
    pub fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.secret))
    }

    /// Returns the last characters of the key, which lists show.
    pub fn hint(&self) -> String {
        let text = self.text();
        text.get(text.len() - HINT..).unwrap_or_default().to_owned()
    }

    /// Returns true if `hash` is the secret's hash. The comparison takes constant time.
    pub fn matches(&self, hash: &str) -> bool {
        verify_slices_are_equal(self.hash().as_bytes(), hash.as_bytes()).is_ok()
    }
}

/// The name that an owner gives to an API key, such as the name of the program that uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// Parses a name of 1 to 100 characters, not counting white space around it. At least one
    /// character must be visible. Control characters, and characters that change the text
    /// direction, are refused.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if is_blank(text) {
            return Err("A key's name must not be empty.".into());
        }
        if text.chars().count() > NAME_LENGTH {
            return Err(format!("A key's name can have at most {NAME_LENGTH} characters.").into());
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

    /// Returns the name.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Which requests of an API key count as retries, in addition to those that the client marks as
/// retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retries {
    /// A request whose body equals that of a request in the last minute.
    EqualBodies,
}

impl Retries {
    /// Parses the word that the key's owner has sent.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        match word == Self::EqualBodies.word() {
            true => Ok(Self::EqualBodies),
            false => Err("This must be equal_bodies, or be left out.".into()),
        }
    }

    /// Returns the word that is shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::EqualBodies => "equal_bodies",
        }
    }
}

/// A change to an API key. At least one field is set; `None` leaves a field unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The new name.
    pub name: Option<KeyName>,
    /// The change to the limit.
    pub limit: Option<LimitChange>,
}

/// A change to the limit of an API key. What the key has spent in this period remains counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitChange {
    /// Sets the number of credits. Without a limit, the key's spending isn't counted, and each
    /// period is counted separately. So a key can't get a first limit or a different period.
    Amount {
        /// The new number of credits.
        tokens: Credits,
        /// The limit's period. `None` if the request doesn't contain it.
        per: Option<LimitPeriod>,
    },
    /// Removes the limit, so that the key may spend the whole balance.
    Removal,
}

/// A stored API key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredApiKey {
    /// `apikey:<id>`.
    pub(crate) pk: String,
    /// The account's id.
    pub user_id: String,
    /// The key form of the owner's username, under which the account is looked up.
    pub name: String,
    /// The name that the owner gave to the API key.
    pub label: String,
    /// The SHA-256 hash of the secret. Empty if the key is restricted.
    pub(crate) hash: String,
    /// The restrictions, which also contain the secret's hash. `None` if the key is unrestricted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restricted: Option<Restrictions>,
    /// The last characters of the whole key.
    pub hint: String,
    /// The time of creation, in milliseconds since 1970.
    pub created: u64,
    /// The account's epoch when the API key was created.
    #[serde(default)]
    pub auth_epoch: u64,
    /// The last day on which a chat was sent with the key, in days since 1970. `None` if the key
    /// was never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// True if a request with an equal body counts as a retry for a minute ([`Retries`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub equal_bodies: bool,
    /// How often the owner has changed the key. Earlier releases don't store this number.
    #[serde(default)]
    pub(crate) changes: u64,
}

impl StoredApiKey {
    /// Returns the id. Ids sort by creation time.
    pub fn id(&self) -> &str {
        self.pk.split_once(':').map_or("", |(_, id)| id)
    }

    /// Returns the SHA-256 hash of the secret.
    pub fn hash(&self) -> &str {
        self.restricted.as_ref().map_or(&self.hash, |restricted| &restricted.hash)
    }

    /// Returns the restrictions. They are empty if the key is unrestricted.
    pub fn restrictions(&self) -> Restrictions {
        self.restricted.clone().unwrap_or_default()
    }

    /// Returns which requests count as retries, if the owner has chosen that.
    pub fn retries(&self) -> Option<Retries> {
        self.equal_bodies.then_some(Retries::EqualBodies)
    }

    /// Returns the limit on the credits that may be spent with the key.
    pub fn limit(&self) -> Option<KeyLimit> {
        self.restricted.as_ref()?.limit
    }

    /// Returns the credits that were spent with the key, plus the credits that are held for its
    /// chats, in the current period of its limit. Zero if the key has no limit.
    pub fn spent(&self, account: &Account, month: &str) -> Credits {
        let spent = self.limit().map(|limit| account.purse(&limit.per.purse(self.id(), month)));
        spent.unwrap_or_default()
    }

    /// Returns true if the key is no longer accepted at the Unix time `now`.
    pub fn has_expired(&self, now: u64) -> bool {
        let expires = self.restricted.as_ref().and_then(|restricted| restricted.expires);
        expires.is_some_and(|expires| expires <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ApiKey {
        ApiKey::random(Uuid::from_u128(0x01a1_f7d1_6dd1_703a_9600_a369_c763_25b7)).unwrap()
    }

    #[test]
    fn keys_parse_as_printed() {
        let key = key();
        let text = key.text();
        assert_eq!((text.len(), &text[..36]), (79, "sk-01a1f7d16dd1703a9600a369c76325b7-"));
        assert_eq!(ApiKey::parse(&text), Some(key.clone()));
        assert_eq!(key.id().to_string(), "01a1f7d1-6dd1-703a-9600-a369c76325b7");
        assert!(text.ends_with(&key.hint()) && key.hint().len() == 4);
    }

    #[test]
    fn altered_keys_are_invalid_or_differ() {
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
            // The last character encodes two extra bits that don't belong to any byte.
            &format!("{head}{}B", &secret[..42]),
        ] {
            assert_eq!(ApiKey::parse(bad), None, "{bad}");
        }
        let other = ApiKey::parse(&format!("{head}{}", "A".repeat(43))).unwrap();
        assert_ne!(other, ApiKey::parse(&text).unwrap());
    }

    #[test]
    fn keys_match_only_their_hash_and_hide_their_secret() {
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
    fn key_names_are_one_line_of_a_hundred_characters() {
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
            "\u{200b}",
            "\u{3164} \u{2800}",
            &"x".repeat(101),
        ] {
            assert!(KeyName::parse(bad).is_err(), "{bad:?}");
        }
    }
}
