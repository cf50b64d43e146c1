//! Idempotency keys. A request that a client repeats with the same idempotency key takes effect
//! only once
//! ([draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)).

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How long the idempotency key of a finished request is remembered, in seconds.
pub const REMEMBERED: u64 = 24 * 3600;

/// The maximum length of an idempotency key, in characters.
pub const LENGTH: usize = 255;

/// An idempotency key from a request's `Idempotency-Key` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

/// The kinds of requests that accept an idempotency key. All endpoints that send a message to the
/// AI share one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message to the AI.
    Chat,
    /// A balance adjustment.
    Adjustment,
    /// One of several grants that an administrator has previewed together. Its idempotency key is
    /// the account's id, and the key's owner is the preview's id.
    Grant,
    /// A grant that is identified by its account, amount and reason, so that a repeated grant is
    /// recognized. Its idempotency key is the account's id, and the key's owner combines the amount
    /// and the reason.
    SameGrant,
    /// A refund of a chat. Its idempotency key is the chat's id, and the key's owner is the
    /// account's id.
    Refund,
    /// A registration.
    Registration,
    /// The creation of an account by an administrator.
    Creation,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Adjustment => "adjustment",
            Self::Grant => "grant",
            Self::SameGrant => "same_grant",
            Self::Refund => "refund",
            Self::Registration => "registration",
            Self::Creation => "creation",
        }
    }
}

impl Key {
    /// Parses an idempotency key of 1 to 255 printable ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        fits.then(|| Self(text.to_owned()))
    }

    /// Returns the idempotency key for a request within a unit of a client's work, such as a session.
    /// The key contains a control character, so it never equals a key that a client sends.
    pub(crate) fn within(kind: &str, unit: &str, fingerprint: &str) -> Self {
        Self(format!("{kind}\n{unit}\n{fingerprint}"))
    }

    /// Returns the id under which the idempotency key is stored. The same key has different ids for
    /// different owners and for different kinds of requests.
    pub fn id(&self, kind: Kind, owner: &str) -> String {
        let mut hash = Context::new(&SHA256);
        add(&mut hash, kind.word());
        add(&mut hash, owner);
        hash.update(self.0.as_bytes());
        let hash = hash.finish();
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Returns a SHA-256 hash in base64url. The hash of a payload shows whether an idempotency key is
/// reused with a different payload. Other long or private values are stored as such hashes, too.
pub fn fingerprint(payload: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, payload.as_ref()))
}

/// Returns the fingerprint of a JSON object without the `ignored` field. The fingerprint covers all
/// other fields exactly as they were sent, including their order. `None` if `object` isn't a JSON
/// object.
pub fn fingerprint_without(ignored: &str, object: &[u8]) -> Option<String> {
    let fields = Fields { ignored, hash: Context::new(&SHA256) };
    let hash = serde_json::Deserializer::from_slice(object).deserialize_map(fields).ok()?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(hash.finish()))
}

/// Hashes an object's fields while they are parsed, so that a large body isn't copied.
struct Fields<'f> {
    ignored: &'f str,
    hash: Context,
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Context;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Context, A::Error> {
        let Self { ignored, mut hash } = self;
        while let Some((name, value)) = fields.next_entry::<String, &RawValue>()? {
            if name != ignored {
                add(&mut hash, &name);
                add(&mut hash, value.get());
            }
        }
        Ok(hash)
    }
}

/// Adds a string and its length to the hash, so that different sequences of strings never produce
/// the same input.
fn add(hash: &mut Context, text: &str) {
    hash.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
    hash.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_separate_per_kind_and_owner() {
        let id = |key: &str, kind: Kind, owner: &str| Key::parse(key).unwrap().id(kind, owner);
        assert_eq!(id("order 7", Kind::Chat, "ann").len(), 32);
        assert_ne!(id("order 7", Kind::Chat, "ann"), id("order 7", Kind::Chat, "ben"));
        assert_ne!(id("order 7", Kind::Chat, "ann"), id("order 7", Kind::Adjustment, "ann"));
        assert_ne!(id("order 7", Kind::Chat, "ann"), id("order 8", Kind::Chat, "ann"));
        assert_ne!(id("bc", Kind::Chat, "a"), id("c", Kind::Chat, "ab"));
    }

    #[test]
    fn fingerprints_can_omit_one_field() {
        let of = |object: &str| fingerprint_without("meta", object.as_bytes());
        let one = of(r#"{"input": "hi", "meta": {"a": 1, "b": 2}, "n": [1]}"#);
        assert!(one.is_some());
        for same in [
            r#"{"input": "hi", "meta": {"b": 2, "a": 1}, "n": [1]}"#,
            r#"{"input": "hi", "n": [1]}"#,
            r#"{"meta": 7, "input":"hi","n":[1]}"#,
        ] {
            assert_eq!(of(same), one, "{same}");
        }
        for other in [
            r#"{"input": "ho", "n": [1]}"#,
            r#"{"input": "hi", "n": [ 1]}"#,
            r#"{"n": [1], "input": "hi"}"#,
            r#"{"input": "hi", "n": [1], "o": null}"#,
            r#"{"input": "hi", "n": {"meta": 1}}"#,
            r#"{"inpu": "thi", "n": [1]}"#,
            "{}",
        ] {
            assert_ne!(of(other), one, "{other}");
        }
        for none in ["", "[]", r#""hi""#, r#"{"input""#, "null"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn keys_are_short_visible_text() {
        for bad in ["", "é", "a\nb", &"x".repeat(256)] {
            assert_eq!(Key::parse(bad), None, "{bad:?}");
        }
        assert!(Key::parse(&"x".repeat(255)).is_some());
    }
}
