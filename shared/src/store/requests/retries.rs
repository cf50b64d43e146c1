//! Retries from clients that don't send an idempotency key: the client indicates that a request is
//! a retry, or the API key's owner wants equal requests to count as retries. A *call* is a request
//! together with its retries. For each payload, an item in the Tokens table stores the idempotency
//! key that was generated for the last call.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::Deserialize;

use crate::store::schema::{call_pk, pk};
use crate::store::{Backoff, Outcome, Result, Store, Write, flag, from_item, n, s};
use crate::values::idempotency::fingerprint;

/// How long a call can be retried, in seconds. By default, OpenAI's SDKs wait ten minutes for a
/// reply.
const CALL_SECONDS: u64 = 900;

/// For how many seconds after a call begins an equal request counts as its retry, if the owner of
/// the API key has chosen that.
const EQUAL_SECONDS: u64 = 60;

/// A request that a client sent without an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct UnkeyedRequest<'r> {
    /// The account's id.
    pub user_id: &'r str,
    /// The id of the API key, if an equal request with this key counts as a retry.
    pub api_key: Option<&'r str>,
    /// A hash of the request's payload.
    pub payload: &'r str,
    /// True if the client marks the request as a retry.
    pub again: bool,
    /// When this request arrived at the gateway, in milliseconds since 1970.
    pub came: u64,
}

impl UnkeyedRequest<'_> {
    /// Returns the pk of the last call with this payload. The pk contains only a hash, because the
    /// item may outlive the account.
    fn pk(self) -> String {
        let Self { user_id, payload, .. } = self;
        call_pk(&fingerprint(match self.api_key {
            None => format!("{user_id} {payload}"),
            Some(key) => format!("{user_id} {key} {payload}"),
        }))
    }

    /// Returns a Unix time. A call whose item expires by then is over, so this request isn't its
    /// retry.
    fn expired_by(self) -> u64 {
        let now = self.came / 1000;
        match self.api_key {
            Some(_) if !self.again => now + CALL_SECONDS - EQUAL_SECONDS,
            _ => now,
        }
    }
}

/// The last call with a given payload, stored under `idem:call-<hash>`.
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
    /// `fresh`, or the key of its retry if the retry arrived first. If equal requests count as
    /// retries, the request that writes first begins the call.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable). In this case, the
    /// request hasn't had any effect.
    pub async fn key_of(&self, request: UnkeyedRequest<'_>, fresh: &str) -> Result<String> {
        let key = request.pk();
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
                let is_retry = other.again || request.api_key.is_some();
                return Ok(if is_retry { other.key } else { fresh.to_owned() });
            }
            // Between the two writes, another call was recorded or the last call's record expired.
            backoff.try_again("the record of the call kept changing").await?;
        }
    }

    /// A write that records a retry of the last call, if that call can still be retried.
    fn comes_again(&self, key: &str, request: UnkeyedRequest<'_>) -> Write {
        self.update_call(key, request, "SET came = :came, again = :again")
            .condition("expires_at > :expired")
    }

    /// A write that records a new call in place of an earlier call with the same payload.
    fn begins(&self, key: &str, request: UnkeyedRequest<'_>, fresh: &str) -> Write {
        let is_later_call = !request.again && request.api_key.is_none();
        let replaced = if is_later_call { " OR came < :came" } else { "" };
        self.update_call(
            key,
            request,
            "SET #key = :key, came = :came, again = :again, expires_at = :forgotten",
        )
        .condition(format!(
            "attribute_not_exists(pk) OR expires_at <= :expired OR #key = :key{replaced}"
        ))
        .names([("#key", "key")])
        .values([(":key", s(fresh)), (":forgotten", n(request.came / 1000 + CALL_SECONDS))])
    }

    fn update_call(&self, key: &str, request: UnkeyedRequest<'_>, expression: &str) -> Write {
        Write::update(&self.tables.tokens, pk(key), expression)
            .values([
                (":came", n(request.came)),
                (":again", flag(request.again)),
                (":expired", n(request.expired_by())),
            ])
            .returns(ReturnValue::AllNew)
            .shows_item()
    }
}
