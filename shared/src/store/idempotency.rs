//! Idempotency records in the table Tokens: which chat or adjustment a finished key stands for.

use serde::{Deserialize, Serialize};

use super::schema::{IDEMPOTENCY, pk, record_key};
use super::{Store, Write, n, to_item};
use crate::Result;

/// A finished key. It points to what was done and holds nothing of the reply, least of all a
/// credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `idem:<id of the key>`.
    pk: String,
    /// What was asked, as a hash.
    pub fingerprint: String,
    /// The chat that was charged, or the row of the adjustment that was made.
    #[serde(rename = "chat_id")]
    pub result_id: String,
    /// The second from which the key may be used anew; DynamoDB deletes the record some time
    /// after.
    pub expires_at: u64,
}

impl Record {
    /// The record of the key with this id.
    pub fn new(key_id: &str, fingerprint: &str, result_id: &str, expires_at: u64) -> Self {
        Self {
            pk: record_key(key_id),
            fingerprint: fingerprint.to_owned(),
            result_id: result_id.to_owned(),
            expires_at,
        }
    }

    /// The id of its key.
    pub(super) fn key_id(&self) -> &str {
        self.pk.strip_prefix(IDEMPOTENCY).unwrap_or_default()
    }
}

impl Store {
    /// The record of a key, if it finished and is still remembered at `now`.
    pub async fn record(&self, key_id: &str, now: u64) -> Result<Option<Record>> {
        let record: Option<Record> = self.get(&self.tables.tokens, pk(record_key(key_id))).await?;
        // DynamoDB deletes within days; the time counts.
        Ok(record.filter(|record| record.expires_at > now))
    }
    /// The write of what an idempotency key stands for, on condition that it stands for nothing at
    /// `now`.
    pub(super) fn remember(&self, record: &Record, now: u64) -> Result<Write> {
        Ok(Write::put(&self.tables.tokens, to_item(record)?)
            .when("attribute_not_exists(pk) OR expires_at <= :now")
            .values([(":now", n(now))]))
    }
}
