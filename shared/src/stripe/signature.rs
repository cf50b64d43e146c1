//! The signatures of Stripe's events
//! ([reference](https://docs.stripe.com/webhooks?verify=verify-manually)).

use std::fmt;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, verify};

use crate::config::ConfigError;
use crate::secrets::FromSecret;

/// The maximum age of a signature, in seconds. Stripe's own libraries use the same limit.
const TOLERANCE: u64 = 300;

// The sentence of the failure says `five minutes`.
const _: () = assert!(TOLERANCE == 5 * 60);

/// The maximum number of secrets that are accepted. While one secret replaces another, both are
/// valid.
const SECRETS: usize = 2;

/// The secrets with which Stripe signs events.
#[derive(Clone)]
pub struct Secrets(Vec<Key>);

/// Why a signature isn't accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The header is missing or can't be read.
    Malformed,
    /// The signature was created too long ago, or in the future.
    Outdated,
    /// The body wasn't signed with any of the secrets.
    Wrong,
}

impl Secrets {
    /// Parses one or two secrets that begin with `whsec_`, separated by a comma.
    pub fn parse(text: &str) -> Option<Self> {
        let secrets: Vec<&str> = text.split(',').map(str::trim).collect();
        let is_secret = |secret: &&str| secret.starts_with("whsec_") && secret.len() >= 20;
        if secrets.len() > SECRETS || !secrets.iter().all(is_secret) {
            return None;
        }
        // The key is the whole string, including its prefix.
        Some(Self(secrets.iter().map(|text| Key::new(HMAC_SHA256, text.as_bytes())).collect()))
    }

    /// Verifies the `Stripe-Signature` header for a body.
    ///
    /// # Errors
    /// Returns an error unless exactly this body was signed with one of the secrets in the last
    /// five minutes.
    pub fn verify(&self, header: &str, body: &[u8], now: u64) -> Result<(), SignatureError> {
        let (mut time, mut signatures) = (None, Vec::new());
        for part in header.split(',') {
            match part.trim().split_once('=') {
                Some(("t", text)) => time = Some(text),
                // Limit the number of checks, because each of them reads the whole body. Stripe
                // signs with at most two secrets.
                Some(("v1", hex)) if hex.len() == 64 && signatures.len() < SECRETS => {
                    signatures.extend(from_hex(hex));
                }
                _ => {}
            }
        }
        let time = time.ok_or(SignatureError::Malformed)?;
        let second: u64 = time.parse().map_err(|_| SignatureError::Malformed)?;
        if second.abs_diff(now) > TOLERANCE {
            return Err(SignatureError::Outdated);
        }
        let signed = [time.as_bytes(), b".", body].concat();
        let is_signed =
            self.0.iter().any(|key| signatures.iter().any(|tag| verify(key, &signed, tag).is_ok()));
        if is_signed { Ok(()) } else { Err(SignatureError::Wrong) }
    }
}

impl FromSecret for Secrets {
    fn from_secret(setting: &str, text: &str) -> Result<Self, ConfigError> {
        Self::parse(text).ok_or_else(|| {
            ConfigError(format!(
                "{setting} must be one or two secrets that begin with whsec_, separated by a comma"
            ))
        })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect()
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_0123456789abcdef0123456789abcdef";
    const BODY: &[u8] = br#"{"id": "evt_1", "object": "event"}"#;

    /// Created for this body and the timestamp 1764000000 by the npm package stripe 23.1.0.
    const BY_SDK: &str =
        "t=1764000000,v1=81431147caf3c4af0e15a96a743cc17312c9756378f880be817280862e56d4ef";

    fn header(time: u64, secret: &str) -> String {
        let key = Key::new(HMAC_SHA256, secret.as_bytes());
        let signed = [format!("{time}.").as_bytes(), BODY].concat();
        let tag = aws_lc_rs::hmac::sign(&key, &signed);
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={time},v1={hex}")
    }

    #[test]
    fn only_fresh_signatures_of_the_same_bytes_are_accepted() {
        let secrets = Secrets::parse(SECRET).unwrap();
        let good = header(1_764_000_000, SECRET);
        assert_eq!(good, BY_SDK);
        let verify = |header: &str, body: &[u8], now| secrets.verify(header, body, now);
        assert_eq!(verify(&good, BODY, 1_764_000_000), Ok(()));
        assert_eq!(verify(&good, BODY, 1_764_000_300), Ok(()));
        assert_eq!(verify(&good, BODY, 1_764_000_301), Err(SignatureError::Outdated));
        assert_eq!(verify(&good, BODY, 1_763_999_699), Err(SignatureError::Outdated));
        // The same JSON in different bytes.
        let other = br#"{"id":"evt_1","object":"event"}"#;
        assert_eq!(verify(&good, other, 1_764_000_000), Err(SignatureError::Wrong));
        let foreign = header(1_764_000_000, "whsec_another_secret_0123456789");
        assert_eq!(verify(&foreign, BODY, 1_764_000_000), Err(SignatureError::Wrong));
        let test_scheme = good.replace("v1=", "v0=");
        assert_eq!(verify(&test_scheme, BODY, 1_764_000_000), Err(SignatureError::Wrong));
        for malformed in ["", "v1=00", "t=,v1=00", "t=-5,v1=00", "t=x"] {
            assert_eq!(verify(malformed, BODY, 0), Err(SignatureError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn two_secrets_are_accepted_during_a_rotation() {
        let new = "whsec_ffffffffffffffffffffffffffffffff";
        let both = Secrets::parse(&format!("{SECRET}, {new}")).unwrap();
        for secret in [SECRET, new] {
            assert_eq!(both.verify(&header(9, secret), BODY, 9), Ok(()));
        }
        // During a replacement, Stripe signs with both secrets.
        let twice = format!("{},{}", header(9, "whsec_an_older_secret_01234"), header(9, new));
        assert_eq!(both.verify(&twice, BODY, 9), Ok(()));
        for wrong in ["", "whsec_", "sk_live_0123456789abcdef", &format!("{SECRET},{new},{new}")] {
            assert!(Secrets::parse(wrong).is_none(), "{wrong}");
        }
    }
}
