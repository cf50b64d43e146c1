//! Transactions: several writes that are applied together or not at all.

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::transact_write_items::builders::TransactWriteItemsFluentBuilder;
use aws_sdk_dynamodb::types::CancellationReason;
use futures_util::FutureExt;
use serde::de::DeserializeOwned;

use crate::aws;
use crate::store::backoff::Backoff;
use crate::store::send_counter::SendCounter;
use crate::store::write::Write;
use crate::store::{Item, Result, Store, StoreError, from_item};

/// The outcome of a transaction.
pub(in crate::store) enum Transaction {
    Applied,
    /// A condition didn't hold, and nothing was applied.
    Refused(Refusals),
}

/// The reasons why a transaction's writes were refused, by index.
pub(in crate::store) struct Refusals(Vec<CancellationReason>);

impl Refusals {
    /// Returns true if the condition of the write at `index` didn't hold.
    pub(in crate::store) fn has(&self, index: usize) -> bool {
        self.0.get(index).is_some_and(is_refusal)
    }

    /// Returns the item that failed the condition of the write at `index`. Returns an empty item if
    /// the item doesn't exist, or if the write doesn't return it when refused. `None` if the write
    /// at `index` wasn't refused.
    pub(in crate::store) fn item(&self, index: usize) -> Option<Item> {
        let reason = self.0.get(index).filter(|reason| is_refusal(reason))?;
        Some(reason.item().cloned().unwrap_or_default())
    }

    /// Like [`Refusals::item`], but deserializes the item. `None` if the reply doesn't contain the
    /// item.
    pub(in crate::store) fn read<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>> {
        self.item(index).filter(|item| !item.is_empty()).map(from_item).transpose()
    }
}

impl Store {
    /// Sends a transaction, and retries until its outcome is known. If DynamoDB reports that the
    /// transaction conflicts with another write, was throttled, or is still in progress, sends the
    /// same bytes with the same request token again after a random pause.
    pub(in crate::store) async fn transact(
        &self,
        writes: Vec<Write>,
        request_token: &str,
    ) -> Result<Transaction> {
        self.transact_watched(writes, request_token, &mut false).await
    }

    /// Like [`Store::transact`], but sets `sent_again` if the SDK sent a request more than once,
    /// because an earlier copy may then still arrive.
    pub(in crate::store) async fn transact_watched(
        &self,
        writes: Vec<Write>,
        request_token: &str,
        sent_again: &mut bool,
    ) -> Result<Transaction> {
        let request = self.transaction(writes, request_token)?;
        let mut backoff = Backoff::new();
        loop {
            match attempt(&request, sent_again).await? {
                Attempt::Ended(transaction) => return Ok(transaction),
                Attempt::Again(_) if backoff.pause().await => {}
                Attempt::Again(error) => return Err(error),
            }
        }
    }

    /// Like [`Store::transact`], but returns [`StoreError::Throttled`] without a retry, for callers
    /// that can send a smaller transaction instead.
    pub(in crate::store) async fn transact_unless_throttled(
        &self,
        writes: Vec<Write>,
        request_token: &str,
    ) -> Result<Transaction> {
        let request = self.transaction(writes, request_token)?;
        let mut backoff = Backoff::new();
        loop {
            match attempt(&request, &mut false).await? {
                Attempt::Ended(transaction) => return Ok(transaction),
                Attempt::Again(error @ StoreError::Throttled(_)) => return Err(error),
                Attempt::Again(_) if backoff.pause().await => {}
                Attempt::Again(error) => return Err(error),
            }
        }
    }

    fn transaction(
        &self,
        writes: Vec<Write>,
        request_token: &str,
    ) -> Result<TransactWriteItemsFluentBuilder> {
        let items = writes.into_iter().map(Write::in_transaction).collect::<Result<_>>()?;
        let request = self.client.transact_write_items().set_transact_items(Some(items));
        Ok(request.client_request_token(request_token))
    }
}

/// The outcome of one attempt at a transaction.
enum Attempt {
    /// The transaction was applied or refused.
    Ended(Transaction),
    /// The same bytes can be sent again with the same request token.
    Again(StoreError),
}

async fn attempt(
    request: &TransactWriteItemsFluentBuilder,
    sent_again: &mut bool,
) -> Result<Attempt> {
    let error = match SendCounter::watch(request.clone().send().boxed(), sent_again).await {
        Ok(_) => return Ok(Attempt::Ended(Transaction::Applied)),
        Err(error) => error,
    };
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let reasons = cancelled.cancellation_reasons();
            if reasons.iter().any(is_refusal) {
                let refusals = Refusals(reasons.to_vec());
                return Ok(Attempt::Ended(Transaction::Refused(refusals)));
            }
            if reasons.iter().any(is_full) {
                return Err(StoreError::Full(aws::cause(&error)));
            }
            if reasons.iter().any(is_throttling) {
                return Ok(Attempt::Again(StoreError::Throttled(aws::cause(&error))));
            }
        }
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
        _ => return Err(error.into()),
    }
    Ok(Attempt::Again(error.into()))
}

fn is_refusal(reason: &CancellationReason) -> bool {
    reason.code() == Some("ConditionalCheckFailed")
}

fn is_full(reason: &CancellationReason) -> bool {
    reason.code() == Some("ItemCollectionSizeLimitExceeded")
}

fn is_throttling(reason: &CancellationReason) -> bool {
    matches!(reason.code(), Some("ThrottlingError" | "ProvisionedThroughputExceeded"))
}
