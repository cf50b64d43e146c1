//! Link tokens: the secrets in e-mailed links. A link token consists of 256 random bits, and the
//! store contains only its hash. A client that sends a link token proves that its user can read the
//! e-mail.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// The number of bytes in a link token.
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
    /// Creates a random link token.
    ///
    /// # Errors
    /// Fails if the operating system can't provide random bytes.
    pub fn random() -> Result<Self, Unspecified> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Parses a link token that a client sent.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes =
            BASE64_URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self)
    }

    /// Returns the link token as written in e-mails: 43 characters that don't need to be escaped in
    /// a URL.
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Returns the link token's hash, which is the link's key in the store. It doesn't need a salt,
    /// because the bits are random.
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
