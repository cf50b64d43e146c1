//! Retries from clients that don't send an idempotency key, but only indicate that a request is a
//! retry. A *call* is a request together with its retries. For each payload, an item in the Tokens
//! table stores the idempotency key that was generated for the last call.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::Deserialize;

use crate::store::schema::{call_pk, pk};
use crate::store::{Backoff, Outcome, Result, Store, Write, flag, from_item, n, s};
use crate::values::idempotency::fingerprint;

/// How long a call can be retried, in seconds. By default, OpenAI's SDKs wait ten minutes for a
/// reply.
const AGAIN: u64 = 900;

/// A request that a client sent without an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct UnkeyedRequest<'r> {
    /// The account's id.
    pub user_id: &'r str,
    /// A hash of the request's payload.
    pub payload: &'r str,
    /// True if the client marks the request as a retry.
    pub again: bool,
    /// When this request arrived at the gateway, in milliseconds since 1970.
    pub came: u64,
}

/// The last call with a given payload, stored under `idem:call-<hash of user and payload>`.
#[derive(Deserialize)]
struct LastCall {
    /// The id of the call's idempotency key.
    key: String,
    /// True if the call's last request was a retry.
    again: bool,
}

impl Store {
    /// Returns the id of a call's idempotency key. For a retry, this is the key of the last call
    /// with the same payload, so that the call takes effect once. For a first request, it is
    /// `fresh`, or the key of its retry if the retry arrived first.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable). In this case, the
    /// request hasn't had any effect.
    pub async fn key_of(&self, request: UnkeyedRequest<'_>, fresh: &str) -> Result<String> {
        // The pk contains only a hash, because the item may outlive the account.
        let key = call_pk(&fingerprint(format!("{} {}", request.user_id, request.payload)));
        let mut backoff = Backoff::new();
        loop {
            if request.again
                && let Outcome::Applied(last) = self.send(&self.comes_again(&key, request)).await?
            {
                return Ok(from_item::<LastCall>(last)?.key);
            }
            let begin = self.begins(&key, request, fresh);
            let other: Option<LastCall> = match self.send(&begin).await? {
                Outcome::Applied(last) => return Ok(from_item::<LastCall>(last)?.key),
                Outcome::Refused(other) => self.item_that_refused(&begin, other).await?,
            };
            if let Some(other) = other
                && !request.again
            {
                return Ok(if other.again { other.key } else { fresh.to_owned() });
            }
            // Between the two writes, another call was recorded or the last call's record expired.
            backoff.try_again("the record of the call kept changing").await?;
        }
    }

    /// A write that records a retry of the last call, if that call can still be retried.
    fn comes_again(&self, key: &str, request: UnkeyedRequest<'_>) -> Write {
        self.update_call(key, request, "SET came = :came, again = :again")
            .condition("expires_at > :now")
    }

    /// A write that records a new call in place of an earlier call with the same payload.
    fn begins(&self, key: &str, request: UnkeyedRequest<'_>, fresh: &str) -> Write {
        let replaced = if request.again { "" } else { " OR came < :came" };
        self.update_call(
            key,
            request,
            "SET #key = :key, came = :came, again = :again, expires_at = :forgotten",
        )
        .condition(format!(
            "attribute_not_exists(pk) OR expires_at <= :now OR #key = :key{replaced}"
        ))
        .names([("#key", "key")])
        .values([(":key", s(fresh)), (":forgotten", n(request.came / 1000 + AGAIN))])
    }

    fn update_call(&self, key: &str, request: UnkeyedRequest<'_>, expression: &str) -> Write {
        Write::update(&self.tables.tokens, pk(key), expression)
            .values([
                (":came", n(request.came)),
                (":again", flag(request.again)),
                (":now", n(request.came / 1000)),
            ])
            .returns(ReturnValue::AllNew)
            .shows_item()
    }
}
