//! Calls that a client sends again without an idempotency key, saying only how often it has: an
//! item in the table Tokens remembers under which key the last such call with this payload runs.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::Deserialize;

use super::schema::{call_key, pk};
use super::{Outcome, Patience, Store, Write, flag, from_item, n, s};
use crate::idempotency::fingerprint;
use crate::{Error, Result};

/// How long after a call it may be sent again, in seconds: OpenAI's SDKs wait ten minutes for a
/// reply, unless they are told otherwise.
const AGAIN: u64 = 900;

/// A call: who sends it, what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    /// The account's id.
    pub user_id: &'c str,
    /// What is asked, as a hash.
    pub payload: &'c str,
    /// Whether the client says that it was sent before.
    pub again: bool,
    /// When this one came to the gateway, in milliseconds since 1970.
    pub came: u64,
}

/// The last call with a payload, as `idem:call-<hash of user and payload>` holds it, with when it
/// came and when it is forgotten.
#[derive(Deserialize)]
struct LastCall {
    /// The id of the idempotency key that it runs under.
    key: String,
    /// Whether its last request was one that was sent again.
    again: bool,
}

impl Store {
    /// The id of the key that a call runs under. One that was sent before runs under the key of the
    /// last call with its payload, so that it happens once. Any other runs under `fresh`,
    /// unless its own repetition has overtaken it: then under that one's.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; nothing has happened then.
    pub async fn key_of(&self, call: Call<'_>, fresh: &str) -> Result<String> {
        // It names nobody: it may outlive the account for a while.
        let key = call_key(&fingerprint(format!("{} {}", call.user_id, call.payload)));
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
                // One came, or was forgotten, between the two writes.
                _ if patience.lasts().await => {}
                _ => return Err(Error::Unavailable("a call was neither known nor unknown".into())),
            }
        }
    }

    /// Takes note that the last call comes again, if one is known.
    fn comes_again(&self, key: &str, call: Call<'_>) -> Write {
        self.update_call(key, call, "SET came = :came, again = :again").when("expires_at > :now")
    }

    /// Takes note of a call that begins, in the place of an earlier one or of none.
    fn begins(&self, key: &str, call: Call<'_>, fresh: &str) -> Write {
        let replaced = if call.again { "" } else { " OR came < :came" };
        self.update_call(
            key,
            call,
            "SET #key = :key, came = :came, again = :again, expires_at = :forgotten",
        )
        .when(format!("attribute_not_exists(pk) OR expires_at <= :now OR #key = :key{replaced}"))
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
