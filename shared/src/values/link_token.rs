//! Link tokens, the secrets in e-mailed links: 256 random bits, of which the store keeps only a
//! hash. A client that presents it has read the e-mail.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The bytes of a link token.
const BYTES: usize = 32;

/// The secret in an e-mailed link.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken([u8; BYTES]);

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(redacted)")
    }
}

impl LinkToken {
    /// A new link token.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> Result<Self, Unspecified> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Parses the link token that a client sent.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes =
            BASE64_URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self)
    }

    /// The link token as e-mails contain it: 43 characters that need no escaping in a URL.
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Its hash, which is the key of the link in the store. The bits are random, so the hash needs
    /// no salt.
    pub fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_parse_as_printed_and_differ_from_their_hash() {
        let token = LinkToken::random().unwrap();
        assert_eq!(token.text().len(), 43);
        assert_eq!(LinkToken::parse(&token.text()), Some(token.clone()));
        assert_ne!(token.text(), token.hash());
        assert_ne!(token, LinkToken::random().unwrap());
        assert!(!format!("{token:?}").contains(&token.text()));
        for bad in [
            "",
            "x",
            &"x".repeat(42),
            &"x".repeat(44),
            &format!("{}=", token.text()),
            &"\u{e9}".repeat(43),
        ] {
            assert_eq!(LinkToken::parse(bad), None, "{bad}");
        }
    }
}
