//! What a mailed link carries: 256 random bits, of which the store keeps only a hash. Whoever holds
//! it has read the mail.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::{Error, Result};

/// The bytes of a token.
const BYTES: usize = 32;

/// The token of a link.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken([u8; BYTES]);

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkToken(redacted)")
    }
}

impl LinkToken {
    /// A new one.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; BYTES];
        rand::fill(&mut bytes).map_err(|_| Error::Internal("no randomness".into()))?;
        Ok(Self(bytes))
    }

    /// The token that a client read in a mail.
    ///
    /// # Errors
    /// [`Error::InvalidLink`] where the text can't be one.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes =
            BASE64_URL_SAFE_NO_PAD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(Error::InvalidLink)
    }

    /// The token as a mail holds it: 43 characters that no URL must escape.
    pub fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.0)
    }

    /// What the store knows it by. The token is random: no salt is needed, and nobody guesses it
    /// from its hash.
    pub fn hash(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, &self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_is_not_its_hash() {
        let token = LinkToken::random().unwrap();
        assert_eq!(token.text().len(), 43);
        assert_eq!(LinkToken::parse(&token.text()), Ok(token.clone()));
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
            assert_eq!(LinkToken::parse(bad), Err(Error::InvalidLink), "{bad}");
        }
    }
}
