//! The Ed25519 keys for all JWTs. Functions that issue JWTs derive the signing key; every function
//! verifies JWTs with the published public keys.
//!
//! The signing key is derived from one random secret. Before a function signs anything, it
//! publishes the public key in the Keys table, under the key's thumbprint. All other functions read
//! that table. A new secret results in a new signing key without a restart, because the functions
//! that issue JWTs read the secret every five minutes. They then publish the new public key, and
//! set an expiry time for the earlier public keys.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_lc_rs::digest;
use aws_lc_rs::hkdf;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::clock::Clock;
use crate::config::{ConfigError, Secret, checked_secret};
use crate::error::TokenFault;
use crate::secrets::{CachedSecret, FromSecret};
use crate::store::{PublicKey, Store};
use crate::{Error, Result};

/// The maximum length of a JWT that is parsed, in bytes. JWTs that Farebox issues are shorter than
/// a thousand bytes.
const JWT_LENGTH: usize = 4096;

/// How long the public keys and the secret are cached, in seconds.
const CACHED_SECONDS: u64 = 300;

/// The minimum time between two reads of the Keys table that are caused by unknown key ids, in
/// seconds.
const MISS: u64 = 60;

/// The maximum number of verified JWTs that are cached for each public key. A full cache is
/// emptied, and its JWTs are verified again when clients send them again.
const REMEMBERED: usize = 1024;

/// The public keys that verify JWTs. Clones share the cache.
#[derive(Clone)]
pub struct Keyring {
    store: Store,
    clock: Clock,
    known: Arc<RwLock<KnownKeys>>,
}

#[derive(Default)]
struct KnownKeys {
    keys: HashMap<String, Arc<VerifyingKey>>,
    published: Vec<PublicKey>,
    read_at: Option<u64>,
    missed_at: u64,
}

impl Keyring {
    /// Creates a keyring that hasn't read the public keys yet.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, known: Arc::default() }
    }

    /// Reads the Keys table, and returns all public keys in it.
    pub async fn read(&self) -> Result<Vec<PublicKey>> {
        let published = self.store.public_keys().await?;
        let now = self.clock.seconds();
        let mut keys = HashMap::new();
        for key in published.iter().filter(|key| key.is_valid(now)) {
            match DecodingKey::from_ed_components(&key.x) {
                Ok(decoding) => {
                    let verifying = VerifyingKey { decoding, verified: Mutex::default() };
                    keys.insert(key.kid.clone(), Arc::new(verifying));
                }
                Err(error) => tracing::error!(kid = key.kid, %error, "a published key is invalid"),
            }
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.keys = keys;
        known.published.clone_from(&published);
        known.read_at = Some(now);
        Ok(published)
    }

    /// Returns the public keys that are currently valid.
    pub async fn published(&self) -> Result<Vec<PublicKey>> {
        let now = self.clock.seconds();
        if self.is_stale(now) {
            self.read().await?;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Ok(known.published.iter().filter(|key| key.is_valid(now)).cloned().collect())
    }

    /// Verifies a JWT of the type `typ` with the published public keys and returns its claims. The
    /// caller must check the claims.
    ///
    /// The algorithm is fixed ([RFC 8725](https://www.rfc-editor.org/rfc/rfc8725#section-3.1)). The
    /// JWT's header can't specify a different algorithm, or a URL from which keys are loaded.
    pub(crate) async fn verify<T: DeserializeOwned>(&self, jwt: &str, typ: &str) -> Result<T> {
        let unknown = || Error::InvalidToken(TokenFault::Unknown);
        if jwt.len() > JWT_LENGTH {
            return Err(unknown());
        }
        let header = jsonwebtoken::decode_header(jwt).map_err(|_| unknown())?;
        let kid = header.kid.ok_or_else(unknown)?;
        // Refuse `crit`, because extensions aren't supported ([RFC
        // 7515](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11)).
        if header.alg != Algorithm::EdDSA || header.crit.is_some() {
            return Err(unknown());
        }
        let key = self.find(&kid).await?.ok_or_else(unknown)?;
        if !key.has_signed(jwt) {
            return Err(unknown());
        }
        if header.typ.as_deref() != Some(typ) {
            return Err(Error::InvalidToken(TokenFault::OtherType));
        }
        // `has_signed` has verified the signature.
        insecure_decode_claims(jwt).map_err(|_| unknown())
    }

    async fn find(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>> {
        let now = self.clock.seconds();
        if self.is_stale(now) {
            self.read().await?;
        }
        if let Some(key) = self.get(kid) {
            return Ok(Some(key));
        }
        if !self.may_miss(now) {
            return Ok(None);
        }
        self.read().await?;
        Ok(self.get(kid))
    }

    fn get(&self, kid: &str) -> Option<Arc<VerifyingKey>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).keys.get(kid).cloned()
    }

    fn is_stale(&self, now: u64) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.read_at.is_none_or(|read_at| now >= read_at + CACHED_SECONDS)
    }

    fn may_miss(&self, now: u64) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let may = now >= known.missed_at + MISS;
        if may {
            known.missed_at = now;
        }
        may
    }
}

/// A published public key, with a cache of the JWTs whose signatures it has already verified.
///
/// Verifying a signature accounts for a third of the CPU instructions of a cheap request, and
/// clients send each access token many times. Reading the Keys table again clears the cache.
struct VerifyingKey {
    decoding: DecodingKey,
    /// The SHA-256 hash of each verified JWT, including its signature.
    verified: Mutex<HashSet<[u8; digest::SHA256_OUTPUT_LEN]>>,
}

impl VerifyingKey {
    /// Returns true if the JWT was signed with this key. The JWT's header and claims aren't
    /// checked.
    fn has_signed(&self, jwt: &str) -> bool {
        let mut digest = [0; digest::SHA256_OUTPUT_LEN];
        digest.copy_from_slice(digest::digest(&digest::SHA256, jwt.as_bytes()).as_ref());
        let verified = || self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified().contains(&digest) {
            return true;
        }
        let mut signature_only = Validation::new(Algorithm::EdDSA);
        signature_only.validate_exp = false;
        signature_only.validate_aud = false;
        signature_only.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode::<IgnoredAny>(jwt, &self.decoding, &signature_only);
        if decoded.is_err() {
            return false;
        }
        let mut verified = verified();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(digest);
        true
    }
}

/// The signing key. Clones share it.
#[derive(Clone)]
pub struct Signer {
    key: CachedSecret<SigningKey>,
    clock: Clock,
    /// The id of the signing key whose public key is known to be in the table. JWTs must not be
    /// signed with a key that isn't in the table yet, because functions couldn't verify them.
    published: Arc<RwLock<Option<String>>>,
}

struct SigningKey {
    kid: String,
    x: String,
    encoding: EncodingKey,
}

impl Signer {
    /// Reads the secret and derives the signing key.
    ///
    /// # Errors
    /// Returns an error if the secret can't be read or is too short to be random. A function that
    /// issues JWTs must not start without a signing key.
    pub async fn new(secret: Secret, aws: &SdkConfig, clock: Clock) -> Result<Self, ConfigError> {
        let key = CachedSecret::read("SIGNING_SECRET", secret, aws, clock.clone()).await?;
        Ok(Self { key, clock, published: Arc::default() })
    }

    /// Returns the id of the signing key.
    pub fn kid(&self) -> String {
        self.key.current().kid.clone()
    }

    /// Publishes the public key. The earlier public keys are kept until a function signs with the
    /// new signing key for the first time.
    pub async fn announce(&self, store: &Store) -> Result<()> {
        let key = self.key.current();
        Ok(store.publish_key(&key.kid, &key.x, self.clock.seconds()).await?)
    }

    /// Publishes the public key. Makes each earlier public key expire as soon as the last JWT that
    /// it verifies has expired. Idempotent, and can be retried after a failure.
    pub async fn publish(&self, keyring: &Keyring, session_life: Duration) -> Result<()> {
        self.publish_beside(keyring.read().await?, keyring, session_life).await
    }

    /// Like [`publish`](Self::publish), but is given the public keys that were just read from the
    /// table.
    pub(crate) async fn publish_beside(
        &self,
        mut known: Vec<PublicKey>,
        keyring: &Keyring,
        session_life: Duration,
    ) -> Result<()> {
        let key = self.key.current();
        let now = self.clock.seconds();
        let is_published = |known: &PublicKey| known.kid == key.kid && known.until.is_none();
        if !known.iter().any(is_published) {
            keyring.store.publish_key(&key.kid, &key.x, now).await?;
            known = keyring.read().await?;
        }
        let from = known.iter().find(|known| known.kid == key.kid).map_or(now, |own| own.from);
        let until = now + session_life.as_secs() + 2 * CACHED_SECONDS;
        for before in known
            .iter()
            .filter(|other| other.kid != key.kid && other.until.is_none() && other.from < from)
        {
            keyring.store.end_key(&before.kid, until).await?;
        }
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Some(key.kid.clone());
        Ok(())
    }

    /// Signs `claims` as a JWT of the type `typ`. Equal claims result in equal strings, because
    /// Ed25519 is deterministic.
    pub(crate) async fn sign<T: Serialize>(
        &self,
        claims: &T,
        typ: &str,
        keyring: &Keyring,
        session_life: Duration,
    ) -> Result<String> {
        self.key.renew().await;
        let mut key = self.key.current();
        while !self.is_published(&key) {
            self.publish(keyring, session_life).await?;
            key = self.key.current();
        }
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.into());
        header.kid = Some(key.kid.clone());
        jsonwebtoken::encode(&header, claims, &key.encoding)
            .map_err(|error| Error::Internal(error.to_string()))
    }

    fn is_published(&self, key: &SigningKey) -> bool {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        published.as_ref() == Some(&key.kid)
    }
}

impl FromSecret for SigningKey {
    const CACHED_SECONDS: u64 = CACHED_SECONDS;

    fn from_secret(setting: &str, text: &str) -> Result<Self, ConfigError> {
        Self::derive(&checked_secret(setting, text.to_owned())?).map_err(|error| {
            ConfigError(format!("{setting}: {}", error.cause().unwrap_or_default()))
        })
    }
}

impl SigningKey {
    /// Derives the signing key from the secret. The seed is HKDF-SHA256 ([RFC
    /// 5869](https://www.rfc-editor.org/rfc/rfc5869)) of the secret, and the id is the public key's
    /// thumbprint ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)).
    fn derive(secret: &str) -> Result<Self> {
        let broken = |_| Error::Internal("the signing key could not be derived".into());
        let mut seed = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"farebox")
            .extract(secret.as_bytes())
            .expand(&[b"ed25519 token signing key"], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut seed))
            .map_err(broken)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|error| Error::Internal(error.to_string()))?;
        let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
        let thumbprint = digest::digest(
            &digest::SHA256,
            format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#).as_bytes(),
        );
        let encoding = EncodingKey::from_ed_der(pair.to_pkcs8v1().map_err(broken)?.as_ref());
        Ok(Self { kid: BASE64_URL_SAFE_NO_PAD.encode(thumbprint), x, encoding })
    }
}
