//! Records of idempotency keys, stored in the Tokens table. A record refers to the chat or the
//! adjustment that resulted from the request with the key.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use serde::{Deserialize, Serialize};

use crate::store::schema::{IDEMPOTENCY, pk, record_pk};
use crate::store::{Result, Store, Write, n, s, to_item};

/// How many records are read at a time.
const RECORDS_AT_ONCE: usize = 16;

/// The record of an idempotency key whose request has finished. The record refers to the result. It
/// doesn't contain any part of the reply, because the reply may include a credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// `idem:<id of the key>`.
    pk: String,
    /// The hash of the request's payload.
    pub fingerprint: String,
    /// The id of the chat, or of the adjustment's ledger entry.
    #[serde(rename = "chat_id")]
    pub result_id: String,
    /// The Unix time at which the record expires. The key can then be used again. DynamoDB deletes
    /// the expired record some time later.
    pub expires_at: u64,
}

impl Record {
    /// Creates the record of the key with this id.
    pub fn new(key_id: &str, fingerprint: &str, result_id: &str, expires_at: u64) -> Self {
        Self {
            pk: record_pk(key_id),
            fingerprint: fingerprint.to_owned(),
            result_id: result_id.to_owned(),
            expires_at,
        }
    }

    /// Returns the idempotency key's id.
    pub(in crate::store) fn key_id(&self) -> &str {
        self.pk.strip_prefix(IDEMPOTENCY).unwrap_or_default()
    }
}

impl Store {
    /// Returns the record of an idempotency key. `None` if no request with the key has finished or
    /// the record has expired.
    pub async fn record(&self, key_id: &str, now: u64) -> Result<Option<Record>> {
        let record: Option<Record> = self.get(&self.tables.tokens, pk(record_pk(key_id))).await?;
        // DynamoDB may delete expired records only days later.
        Ok(record.filter(|record| record.expires_at > now))
    }

    /// Counts a repetition of the request whose result has this idempotency key, but isn't stored.
    /// `by` identifies the repetition. Returns false if the request was already repeated `most`
    /// times, or the record no longer exists. Idempotent.
    pub async fn count_repeat(&self, key_id: &str, by: &str, most: u32, now: u64) -> Result<bool> {
        let ids = AttributeValue::Ss(vec![by.to_owned()]);
        let count = Write::update(&self.tables.tokens, pk(record_pk(key_id)), "ADD repeats :ids")
            .condition(
                "expires_at > :now AND \
                 (attribute_not_exists(repeats) OR contains(repeats, :id) OR size(repeats) < :most)",
            )
            .values([(":ids", ids), (":id", s(by)), (":most", n(most)), (":now", n(now))]);
        Ok(self.send(&count).await?.is_applied())
    }

    /// Undoes [`count_repeat`](Self::count_repeat) for a repetition that was never made. If a copy of
    /// the count arrives afterwards, the repetition stays counted. Idempotent.
    pub async fn uncount_repeat(&self, key_id: &str, by: &str) -> Result<()> {
        let ids = AttributeValue::Ss(vec![by.to_owned()]);
        let uncount =
            Write::update(&self.tables.tokens, pk(record_pk(key_id)), "DELETE repeats :ids")
                .condition("contains(repeats, :id)")
                .values([(":ids", ids), (":id", s(by))]);
        self.send(&uncount).await.map(drop)
    }

    /// Returns the records of these keys, in the same order.
    pub async fn records(&self, key_ids: Vec<String>, now: u64) -> Result<Vec<Option<Record>>> {
        let read = |id: String| async move { self.record(&id, now).await };
        iter(key_ids).map(read).buffered(RECORDS_AT_ONCE).try_collect().await
    }

    /// A write that stores the record of an idempotency key, unless the key has a record at `now`.
    pub(in crate::store) fn remember(&self, record: &Record, now: u64) -> Result<Write> {
        Ok(Write::put(&self.tables.tokens, to_item(record)?)
            .condition("attribute_not_exists(pk) OR expires_at <= :now")
            .values([(":now", n(now))]))
    }
}
