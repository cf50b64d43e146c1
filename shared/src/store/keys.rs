//! The table Keys: public signing keys.

use serde::{Deserialize, Serialize};

use super::{Store, applied, from_item, n, s};
use crate::Result;

/// A public key that tokens may be signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    /// Its id, which tokens name in their header.
    pub kid: String,
    /// The key: 32 bytes in base64url, as a JWK has it ([RFC 8037](https://www.rfc-editor.org/rfc/rfc8037#section-2)).
    pub x: String,
    /// The second at which it was published.
    pub from: u64,
    /// The second from which it no longer holds. The key that signs today has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl PublicKey {
    /// Whether tokens may be signed with it at `now`.
    pub fn is_valid(&self, now: u64) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Store {
    /// Every published key: a handful at most, since they leave the table when they end.
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>> {
        let scan =
            self.client.scan().table_name(&self.tables.keys).consistent_read(true).send().await?;
        scan.items.unwrap_or_default().into_iter().map(from_item).collect()
    }

    /// Publishes a key, without an end. Published again, it keeps its beginning.
    pub async fn publish_key(&self, kid: &str, x: &str, now: u64) -> Result<()> {
        let update = self.client.update_item().table_name(&self.tables.keys).key("kid", s(kid));
        let update = update
            .update_expression("SET x = :x, #from = if_not_exists(#from, :now) REMOVE #until");
        let update = update
            .expression_attribute_names("#from", "from")
            .expression_attribute_names("#until", "until");
        update
            .expression_attribute_values(":x", s(x))
            .expression_attribute_values(":now", n(now))
            .send()
            .await?;
        Ok(())
    }

    /// Takes a key back: what it signed opens nothing once everybody has read the table again.
    pub async fn withdraw_key(&self, kid: &str) -> Result<()> {
        self.client.delete_item().table_name(&self.tables.keys).key("kid", s(kid)).send().await?;
        Ok(())
    }

    /// Sets the second at which a key ends, unless it has one.
    pub async fn end_key(&self, kid: &str, until: u64) -> Result<()> {
        let update = self.client.update_item().table_name(&self.tables.keys).key("kid", s(kid));
        let update = update
            .update_expression("SET #until = if_not_exists(#until, :until)")
            .condition_expression("attribute_exists(kid)");
        applied(
            update
                .expression_attribute_names("#until", "until")
                .expression_attribute_values(":until", n(until))
                .send()
                .await,
        )
        .map(drop)
    }
}
