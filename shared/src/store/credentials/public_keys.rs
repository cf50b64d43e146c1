//! The Keys table, which contains the public keys that verify JWTs.

use serde::{Deserialize, Serialize};

use crate::store::schema::signing_key;
use crate::store::{Result, Store, Write, from_item, n, s};

/// A public key that verifies JWTs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// The key's id, which is in the header of JWTs.
    pub kid: String,
    /// The key itself: 32 bytes in base64url, as in a JWK ([RFC
    /// 8037](https://www.rfc-editor.org/rfc/rfc8037#section-2)).
    pub x: String,
    /// The Unix time at which the key was published.
    pub from: u64,
    /// The Unix time at which the key expires. `None` for the public key of the current signing
    /// key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl PublicKey {
    /// Returns true if the key hasn't expired at `now`, and can therefore verify JWTs.
    pub fn is_valid(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Store {
    /// Returns all public keys. The table contains only a few keys, because expired keys are
    /// deleted. Skips keys that can't be read, for example keys of a type that a later release has
    /// added. JWTs that were signed with a skipped key are invalid.
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>> {
        let scan =
            self.client.scan().table_name(&self.tables.keys).consistent_read(true).send().await?;
        let read = |item| {
            from_item(item).inspect_err(|error| {
                tracing::error!(cause = error.cause(), "a published key can't be read");
            })
        };
        Ok(scan.items.unwrap_or_default().into_iter().filter_map(|item| read(item).ok()).collect())
    }

    /// Publishes a public key without an expiry. Idempotent: publishing a key again doesn't change
    /// `from`.
    pub async fn publish_key(&self, kid: &str, x: &str, now: u64) -> Result<()> {
        let publish = Write::update(
            &self.tables.keys,
            signing_key(kid),
            "SET x = :x, #from = if_not_exists(#from, :now) REMOVE #until",
        )
        .names([("#from", "from"), ("#until", "until")])
        .values([(":x", s(x)), (":now", n(now))]);
        self.send(&publish).await.map(drop)
    }

    /// Deletes a public key. JWTs signed with the key become invalid once every function has read
    /// the table again.
    pub async fn withdraw_key(&self, kid: &str) -> Result<()> {
        self.send(&Write::delete(&self.tables.keys, signing_key(kid))).await.map(drop)
    }

    /// Sets the Unix time at which a public key expires, unless it is already set.
    pub async fn end_key(&self, kid: &str, until: u64) -> Result<()> {
        let end = Write::update(
            &self.tables.keys,
            signing_key(kid),
            "SET #until = if_not_exists(#until, :until)",
        )
        .condition("attribute_exists(kid)")
        .names([("#until", "until")])
        .values([(":until", n(until))]);
        self.send(&end).await.map(drop)
    }
}
