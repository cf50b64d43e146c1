//! A write of one item, which can be sent alone or in a transaction. The SDK uses different
//! builders for the two cases, so without this type, each write would have to be built twice.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValue, TransactWriteItem, Update,
};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use crate::store::backoff::Backoff;
use crate::store::send_counter::SendCounter;
use crate::store::{Item, Result, Store, StoreError, from_item};

/// The condition for a put that must not replace an item in the Users or Tokens table.
pub(in crate::store) const NEW: &str = "attribute_not_exists(pk)";

/// A write of one item, or a check of one item's condition.
#[derive(Clone, Debug)]
pub(in crate::store) struct Write {
    table: String,
    operation: Operation,
    condition: Option<String>,
    names: HashMap<String, String>,
    values: Item,
    shows_item: bool,
}

#[derive(Clone, Debug)]
enum Operation {
    Put { item: Item },
    Update { key: Item, expression: String, returns: Option<ReturnValue> },
    Delete { key: Item },
    Check { key: Item },
}

/// Sets the fields that all writes have in common. The SDK's seven builders have the same setters
/// but don't share a trait.
macro_rules! conditional {
    ($builder:expr, $write:ident) => {
        $builder
            .table_name($write.table)
            .set_condition_expression($write.condition)
            .set_expression_attribute_names(or_none($write.names))
            .set_expression_attribute_values(or_none($write.values))
            .set_return_values_on_condition_check_failure($write.shows_item.then_some(AllOld))
    };
}

/// A function that takes an error and extracts the item that failed the condition.
macro_rules! shown {
    ($error:ident) => {
        |error| match error {
            $error::ConditionalCheckFailedException(refused) => refused.item.clone(),
            _ => None,
        }
    };
}

impl Write {
    /// Replaces the whole item.
    pub(in crate::store) fn put(table: &str, item: Item) -> Self {
        Self::new(table, Operation::Put { item })
    }

    /// Changes the item with an update expression. Creates the item if it is missing.
    pub(in crate::store) fn update(table: &str, key: Item, expression: impl Into<String>) -> Self {
        Self::new(table, Operation::Update { key, expression: expression.into(), returns: None })
    }

    /// Deletes the item. Idempotent.
    pub(in crate::store) fn delete(table: &str, key: Item) -> Self {
        Self::new(table, Operation::Delete { key })
    }

    /// Only checks a condition: if it doesn't hold, the whole transaction is refused. A check can't
    /// be sent alone.
    pub(in crate::store) fn check(table: &str, key: Item) -> Self {
        Self::new(table, Operation::Check { key })
    }

    fn new(table: &str, operation: Operation) -> Self {
        Self {
            table: table.to_owned(),
            operation,
            condition: None,
            names: HashMap::new(),
            values: Item::new(),
            shows_item: false,
        }
    }

    /// Sets the write's condition, replacing any earlier condition.
    pub(in crate::store) fn condition(mut self, condition: impl Into<String>) -> Self {
        self.condition = Some(condition.into());
        self
    }

    /// Adds placeholders for attribute names and map keys to the expressions.
    pub(in crate::store) fn names<N: Into<String>, A: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = (N, A)>,
    ) -> Self {
        self.names.extend(names.into_iter().map(|(name, of)| (name.into(), of.into())));
        self
    }

    /// Adds placeholders for values to the expressions.
    pub(in crate::store) fn values<N: Into<String>>(
        mut self,
        values: impl IntoIterator<Item = (N, AttributeValue)>,
    ) -> Self {
        self.values.extend(values.into_iter().map(|(name, value)| (name.into(), value)));
        self
    }

    /// Makes the write return the item if the item fails the condition.
    pub(in crate::store) fn shows_item(mut self) -> Self {
        self.shows_item = true;
        self
    }

    /// Makes an update return the item as it was before the change or as it is afterwards. Applies
    /// only if the update is sent alone.
    pub(in crate::store) fn returns(mut self, value: ReturnValue) -> Self {
        if let Operation::Update { returns, .. } = &mut self.operation {
            *returns = Some(value);
        }
        self
    }

    /// Converts the write into part of a transaction.
    pub(in crate::store) fn in_transaction(self) -> Result<TransactWriteItem> {
        let write = TransactWriteItem::builder();
        let write = match self.operation {
            Operation::Put { item } => write.put(
                conditional!(Put::builder(), self)
                    .set_item(Some(item))
                    .build()
                    .map_err(incomplete)?,
            ),
            Operation::Update { key, expression, .. } => write.update(
                conditional!(Update::builder(), self)
                    .set_key(Some(key))
                    .update_expression(expression)
                    .build()
                    .map_err(incomplete)?,
            ),
            Operation::Delete { key } => write.delete(
                conditional!(Delete::builder(), self)
                    .set_key(Some(key))
                    .build()
                    .map_err(incomplete)?,
            ),
            Operation::Check { key } => write.condition_check(
                conditional!(ConditionCheck::builder(), self)
                    .set_key(Some(key))
                    .build()
                    .map_err(incomplete)?,
            ),
        };
        Ok(write.build())
    }
}

/// The outcome of a write that was sent alone.
#[derive(Debug)]
pub(in crate::store) enum Outcome {
    /// The write was applied. [`Write::returns`] selects the returned attributes.
    Applied(Item),
    /// The condition didn't hold. Contains the item if [`Write::shows_item`] requested it; `None`
    /// if the item doesn't exist or wasn't requested.
    Refused(Option<Item>),
}

impl Outcome {
    pub(in crate::store) fn is_applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}

impl Store {
    /// Sends a write, and retries while a transaction on the same item is in progress. The SDK
    /// doesn't retry after a conflict with a transaction, although the write wasn't applied.
    pub(in crate::store) async fn send(&self, write: &Write) -> Result<Outcome> {
        self.send_watched(write, &mut false).await
    }

    /// Like [`Store::send`], but sets `sent_again` if the write was sent more than once, because an
    /// earlier copy may then still arrive. The future is boxed, because its code would otherwise be
    /// compiled into every caller.
    pub(in crate::store) fn send_watched<'a>(
        &'a self,
        write: &Write,
        sent_again: &'a mut bool,
    ) -> BoxFuture<'a, Result<Outcome>> {
        let write = write.clone();
        let sending = async move {
            match write.operation {
                Operation::Put { item } => {
                    let put = conditional!(self.client.put_item(), write).set_item(Some(item));
                    let send = || put.clone().send();
                    outcome(repeat(send).await, |_| None, shown!(PutItemError))
                }
                Operation::Update { key, expression, returns } => {
                    let update = conditional!(self.client.update_item(), write)
                        .set_key(Some(key))
                        .update_expression(expression)
                        .set_return_values(returns);
                    let send = || update.clone().send();
                    outcome(repeat(send).await, |done| done.attributes, shown!(UpdateItemError))
                }
                Operation::Delete { key } => {
                    let delete = conditional!(self.client.delete_item(), write).set_key(Some(key));
                    let send = || delete.clone().send();
                    outcome(repeat(send).await, |_| None, shown!(DeleteItemError))
                }
                Operation::Check { .. } => {
                    Err(StoreError::Internal("a check was sent alone".into()))
                }
            }
        };
        SendCounter::watch(sending.boxed(), sent_again).boxed()
    }

    /// Returns the item that failed the condition of a write. `shown` is the item in the write's
    /// reply. If it is `None`, reads the item.
    pub(in crate::store) async fn item_that_refused<T: DeserializeOwned>(
        &self,
        write: &Write,
        shown: Option<Item>,
    ) -> Result<Option<T>> {
        match (shown, &write.operation) {
            (Some(item), _) => from_item(item).map(Some),
            (
                None,
                Operation::Update { key, .. }
                | Operation::Delete { key }
                | Operation::Check { key },
            ) => self.get(&write.table, key.clone()).await,
            (None, Operation::Put { .. }) => Ok(None),
        }
    }
}

async fn repeat<T, E, R, F>(send: impl Fn() -> F) -> Result<T, SdkError<E, R>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E, R>>>,
{
    let mut backoff = Backoff::new();
    loop {
        match send().await {
            Err(error)
                if has_code(&error, "TransactionConflictException") && backoff.pause().await => {}
            sent => return sent,
        }
    }
}

fn outcome<T, E: ProvideErrorMetadata, R>(
    sent: Result<T, SdkError<E, R>>,
    attributes: impl FnOnce(T) -> Option<Item>,
    shown: impl FnOnce(&E) -> Option<Item>,
) -> Result<Outcome> {
    match sent {
        Ok(done) => Ok(Outcome::Applied(attributes(done).unwrap_or_default())),
        Err(error) if has_code(&error, "ConditionalCheckFailedException") => {
            Ok(Outcome::Refused(error.as_service_error().and_then(shown)))
        }
        Err(error) => Err(error.into()),
    }
}

fn has_code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.as_service_error().is_some_and(|service| service.code() == Some(code))
}

/// Returns `None` for an empty map, because DynamoDB refuses empty maps of names and values.
fn or_none<V>(map: HashMap<String, V>) -> Option<HashMap<String, V>> {
    (!map.is_empty()).then_some(map)
}

fn incomplete(error: BuildError) -> StoreError {
    StoreError::Internal(error.to_string())
}
