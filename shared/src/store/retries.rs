//! Calls that a client sends again without an idempotency key, saying only how often it has: an
//! item in the table Tokens remembers under which key the last such call with this payload runs.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::operation::update_item::{UpdateItemError, UpdateItemOutput};
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use serde::Deserialize;

use super::schema::call_key;
use super::{Patience, Store, from_item, n, refused_item, s, send};
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

/// What became of the note of a request.
enum Noted {
    /// The call stands with it.
    As(LastCall),
    /// Another one stands, which the reply held or not.
    RefusedBy(Option<LastCall>),
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
        let pk = call_key(&fingerprint(format!("{} {}", call.user_id, call.payload)));
        let mut patience = Patience::new();
        loop {
            if call.again
                && let Noted::As(last) = self.comes_again(&pk, call).await?
            {
                return Ok(last.key);
            }
            let other = match self.begins(&pk, call, fresh).await? {
                Noted::As(last) => return Ok(last.key),
                Noted::RefusedBy(Some(other)) => Some(other),
                // Where the refusal came without the item, a read tells.
                Noted::RefusedBy(None) => self.last_call(&pk).await?,
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
    async fn comes_again(&self, pk: &str, call: Call<'_>) -> Result<Noted> {
        let update = self
            .call(pk, call)
            .update_expression("SET came = :came, again = :again")
            .condition_expression("expires_at > :now");
        noted(send(|| update.clone().send()).await)
    }

    /// Takes note of a call that begins, in the place of an earlier one or of none.
    async fn begins(&self, pk: &str, call: Call<'_>, fresh: &str) -> Result<Noted> {
        let replaced = if call.again { "" } else { " OR came < :came" };
        let update = self
            .call(pk, call)
            .update_expression(
                "SET #key = :key, came = :came, again = :again, expires_at = :forgotten",
            )
            .condition_expression(format!(
                "attribute_not_exists(pk) OR expires_at <= :now OR #key = :key{replaced}"
            ))
            .expression_attribute_names("#key", "key")
            .expression_attribute_values(":key", s(fresh))
            .expression_attribute_values(":forgotten", n(call.came / 1000 + AGAIN));
        noted(send(|| update.clone().send()).await)
    }

    /// A write that both kinds of requests begin with.
    fn call(&self, pk: &str, call: Call<'_>) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.tables.tokens)
            .key("pk", s(pk))
            .expression_attribute_values(":came", n(call.came))
            .expression_attribute_values(":again", AttributeValue::Bool(call.again))
            .expression_attribute_values(":now", n(call.came / 1000))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(AllOld)
    }

    async fn last_call(&self, pk: &str) -> Result<Option<LastCall>> {
        let get = self.client.get_item().table_name(&self.tables.tokens).key("pk", s(pk));
        get.consistent_read(true).send().await?.item.map(from_item).transpose()
    }
}

fn noted(sent: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<Noted> {
    match sent {
        Ok(updated) => from_item(updated.attributes.unwrap_or_default()).map(Noted::As),
        Err(error) => Ok(Noted::RefusedBy(refused_item(error)?.map(from_item).transpose()?)),
    }
}
