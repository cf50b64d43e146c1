//! Calls that a client repeats without an idempotency key, saying only that they are repeated: an
//! item in the table Tokens has the key of the last call with the same payload.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::Deserialize;

use crate::store::schema::{call_pk, pk};
use crate::store::{Outcome, Patience, Result, Store, StoreError, Write, flag, from_item, n, s};
use crate::values::idempotency::fingerprint;

/// How long a call can be repeated, in seconds: OpenAI's SDKs wait ten minutes for a reply by
/// default.
const AGAIN: u64 = 900;

/// A call of a client.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// The account's id.
    pub user_id: &'c str,
    /// A hash of the request.
    pub payload: &'c str,
    /// Whether the client says that it is repeated.
    pub again: bool,
    /// When this request arrived at the gateway, in milliseconds since 1970.
    pub came: u64,
}

/// The last call with a payload: `idem:call-<hash of user and payload>`.
#[derive(Deserialize)]
struct LastCall {
    /// The id of its idempotency key.
    key: String,
    /// Whether its last request was a repetition.
    again: bool,
}

impl Store {
    /// The id of the idempotency key of a call. A repeated call gets the key of the last call with
    /// its payload, so that it acts once. A first one gets `fresh`, unless its own repetition has
    /// overtaken it: then it gets that one's key.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; nothing has happened then.
    pub async fn key_of(&self, call: Call<'_>, fresh: &str) -> Result<String> {
        // A hash, since it may outlive the account for a while.
        let key = call_pk(&fingerprint(format!("{} {}", call.user_id, call.payload)));
        let mut patience = Patience::new();
        loop {
            if call.again
                && let Outcome::Applied(last) = self.send(&self.comes_again(&key, call)).await?
            {
                return Ok(from_item::<LastCall>(last)?.key);
            }
            let begin = self.begins(&key, call, fresh);
            let other: Option<LastCall> = match self.send(&begin).await? {
                Outcome::Applied(last) => return Ok(from_item::<LastCall>(last)?.key),
                Outcome::Refused(other) => self.refused_by(&begin, other).await?,
            };
            match other {
                Some(other) if !call.again => {
                    return Ok(if other.again { other.key } else { fresh.to_owned() });
                }
                // Another call arrived, or was forgotten, between the two writes.
                _ if patience.lasts().await => {}
                _ => {
                    return Err(StoreError::Unavailable(
                        "a call was neither known nor unknown".into(),
                    ));
                }
            }
        }
    }

    /// Records that the last call is repeated, if there is one.
    fn comes_again(&self, key: &str, call: Call<'_>) -> Write {
        self.update_call(key, call, "SET came = :came, again = :again")
            .condition("expires_at > :now")
    }

    /// Records a first call, in place of an earlier one.
    fn begins(&self, key: &str, call: Call<'_>, fresh: &str) -> Write {
        let replaced = if call.again { "" } else { " OR came < :came" };
        self.update_call(
            key,
            call,
            "SET #key = :key, came = :came, again = :again, expires_at = :forgotten",
        )
        .condition(format!(
            "attribute_not_exists(pk) OR expires_at <= :now OR #key = :key{replaced}"
        ))
        .names([("#key", "key")])
        .values([(":key", s(fresh)), (":forgotten", n(call.came / 1000 + AGAIN))])
    }

    fn update_call(&self, key: &str, call: Call<'_>, expression: &str) -> Write {
        Write::update(&self.tables.tokens, pk(key), expression)
            .values([
                (":came", n(call.came)),
                (":again", flag(call.again)),
                (":now", n(call.came / 1000)),
            ])
            .returns(ReturnValue::AllNew)
            .shows_item()
    }
}
