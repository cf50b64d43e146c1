//! Idempotency keys: a request that a client repeats with the same key happens once
//! ([draft](https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/)).

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// How long a finished key is remembered, in seconds.
pub const REMEMBERED: u64 = 24 * 3600;

/// The most characters of a key.
pub(crate) const LENGTH: usize = 255;

/// The key of one request, from the `Idempotency-Key` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

/// The kinds of requests that accept a key. All endpoints that send a message to the AI are one
/// kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A message to the AI.
    Chat,
    /// An adjustment of a balance.
    Adjustment,
    /// One of many grants: its owner is the id of their preview, and its key that of the account.
    Grant,
    /// A grant by its content: its owner is the amount with the reason, and its key the account's id.
    SameGrant,
    /// The return of a message's price: its owner is the account's id, and its key the message's.
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
    /// 1 to 255 visible ASCII characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=LENGTH).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        fits.then(|| Self(text.to_owned()))
    }

    /// The id under which the key is stored. Another owner's key of the same text, and the same key
    /// on another kind of request, have other ids.
    pub fn id(&self, kind: Kind, owner: &str) -> String {
        let mut hash = Context::new(&SHA256);
        for part in [kind.word(), owner] {
            hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(self.0.as_bytes());
        let hash = hash.finish();
        hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// SHA-256 in base64url. For payloads, so that a key with another payload is refused, and for
/// values that may be long or private.
pub fn fingerprint(payload: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, payload.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_per_kind_of_request_and_owner() {
        let id = |key: &str, kind: Kind, owner: &str| Key::parse(key).unwrap().id(kind, owner);
        assert_eq!(id("order 7", Kind::Chat, "ann").len(), 32);
        assert_ne!(id("order 7", Kind::Chat, "ann"), id("order 7", Kind::Chat, "ben"));
        assert_ne!(id("order 7", Kind::Chat, "ann"), id("order 7", Kind::Adjustment, "ann"));
        assert_ne!(id("order 7", Kind::Chat, "ann"), id("order 8", Kind::Chat, "ann"));
        assert_ne!(id("bc", Kind::Chat, "a"), id("c", Kind::Chat, "ab"));
    }

    #[test]
    fn a_key_is_short_visible_text() {
        for bad in ["", "é", "a\nb", &"x".repeat(256)] {
            assert_eq!(Key::parse(bad), None, "{bad:?}");
        }
        assert!(Key::parse(&"x".repeat(255)).is_some());
    }
}
