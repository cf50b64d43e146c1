//! JWTs that the API never issued: they are signed with an unknown key, unsigned, or signed with
//! the real key but with changed claims.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use aws_lc_rs::{hkdf, hmac};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::support::client::Api;

/// A signing key for arbitrary claims.
pub struct Forge(Ed25519KeyPair);

impl Forge {
    /// Creates a signing key that the API has never seen.
    pub fn of_a_stranger() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    /// Returns the API's signing key, so that a refusal can't be due to the signature.
    pub fn of(api: &Api) -> Self {
        let mut seed = [0; 32];
        let secret =
            hkdf::Salt::new(hkdf::HKDF_SHA256, b"farebox").extract(api.signing_secret().as_bytes());
        secret
            .expand(&[b"ed25519 token signing key"], hkdf::HKDF_SHA256)
            .unwrap()
            .fill(&mut seed)
            .unwrap();
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap())
    }

    /// Returns a JWT with this header and these claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        signed(header, claims, |text| self.0.sign(text).as_ref().to_vec())
    }

    /// The public key.
    pub fn public_key(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }
}

/// Returns a JWT whose signature is a MAC under `secret`.
pub fn with_mac(header: &Value, claims: &Value, secret: &[u8]) -> String {
    signed(header, claims, |text| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), text).as_ref().to_vec()
    })
}

/// Returns a JWT without a signature.
pub fn unsigned(header: &Value, claims: &Value) -> String {
    signed(header, claims, |_| Vec::new())
}

fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let text =
        [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(sign(text.as_bytes()));
    format!("{text}.{signature}")
}

/// Returns the header of a JWT.
pub fn header(token: &str) -> Value {
    part(token, 0)
}

/// Returns the claims of a JWT.
pub fn claims(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Returns `object` with one field changed, or without the field if `value` is `None`.
pub fn with(object: &Value, field: &str, value: impl Into<Option<Value>>) -> Value {
    let mut changed = object.clone();
    match value.into() {
        Some(value) => changed[field] = value,
        None => drop(changed.as_object_mut().unwrap().remove(field)),
    }
    changed
}
