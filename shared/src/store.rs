//! The only door to DynamoDB. Each file holds what is done to one kind of item; `accounts` is the
//! only one that moves tokens.
//!
//! Every write can be sent twice and acts once, since the SDK sends again by itself whenever a
//! reply is lost: a condition tells the second from the first, or the bytes are the same.

mod accounts;
mod addresses;
mod administration;
mod api_keys;
mod attempts;
mod audit;
mod chats;
mod conversations;
mod deletion;
mod figures;
mod idempotency;
mod keys;
mod ledger;
mod links;
mod outbox;
mod passwords;
mod retries;
mod schema;
mod sessions;
mod sweep;
mod timeline;
mod users;

pub use accounts::{Adjusted, ChatLimits, Hold, Reserved, Settled};
pub use administration::{Label, Listed, StandingChange};
pub use api_keys::{API_KEYS, StoredKey};
pub use attempts::{Attempt, Quota};
pub use audit::{Audited, Difference};
pub use chats::{CHATS, ChatKey};
pub use conversations::Conversation;
pub use deletion::Erased;
pub use figures::{Figures, is_closed};
pub use idempotency::Record;
pub use keys::PublicKey;
pub(crate) use ledger::REASON_LENGTH;
pub use ledger::{Act, Adjustment, Entry, EntryKind, Reason};
pub use links::{Link, Purpose};
pub use outbox::Letter;
pub use retries::Call;
pub use schema::{OUTBOX, chat_month};
pub use sessions::{Ending, Rotation, Session};
pub use sweep::Swept;
pub use timeline::Place;
pub use users::{NewAccount, Registered};

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::builders::{PutBuilder, UpdateBuilder};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, KeysAndAttributes, TransactWriteItem,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::aws::{self, OPERATION};
use crate::config::{Config, Tables};
use crate::{Error, Result};

/// DynamoDB, with the tables' names. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Arc<Tables>,
}

/// An item as the SDK knows it.
type Item = HashMap<String, AttributeValue>;

impl Store {
    /// A client for the endpoint of the settings or AWS's own.
    pub fn connect(aws: &aws_config::SdkConfig, config: &Config) -> Self {
        Self::over(aws_sdk_dynamodb::Config::from(aws).to_builder(), config)
    }

    /// The same, over a client configuration that the caller has begun.
    pub fn over(mut client: aws_sdk_dynamodb::config::Builder, config: &Config) -> Self {
        if let Some(endpoint) = &config.dynamodb_endpoint {
            client.set_endpoint_url(Some(endpoint.url.clone()));
            if let Some(credentials) = aws::credentials(endpoint) {
                client.set_credentials_provider(Some(credentials));
            }
        }
        Self { client: Client::from_conf(client.build()), tables: Arc::new(config.tables.clone()) }
    }

    /// At most `count` items of a user's partition that sort before `before`, newest first, and
    /// whether DynamoDB stopped before the last. `keys` is the key condition over `:user` and
    /// `:before`.
    async fn newest_first<T: DeserializeOwned>(
        &self,
        table: &str,
        keys: &'static str,
        user_id: &str,
        before: &str,
        count: usize,
    ) -> Result<(Vec<T>, bool)> {
        let query = self.client.query().table_name(table).key_condition_expression(keys);
        let query = query
            .expression_attribute_values(":user", s(user_id))
            .expression_attribute_values(":before", s(before));
        let query = query
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(i32::try_from(count).unwrap_or(i32::MAX));
        let page = query.send().await?;
        let more = page.last_evaluated_key.is_some();
        let items =
            page.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_>>()?;
        Ok((items, more))
    }

    /// The ids of some of a user's items in the table Tokens whose keys begin with `kind`, newest
    /// first, that are older than the one with the id `before`; and whether there may be more.
    /// An index tells, which knows a new one a moment later.
    async fn ids_of_user(
        &self,
        kind: &str,
        user_id: &str,
        before: Option<&str>,
    ) -> Result<(Vec<String>, bool)> {
        let start = before.map(|id| {
            Item::from([
                ("user_id".to_owned(), s(user_id)),
                ("pk".to_owned(), s(format!("{kind}{id}"))),
            ])
        });
        let query = self.client.query().table_name(&self.tables.tokens).index_name("by_user");
        let query = query.key_condition_expression("user_id = :user AND begins_with(pk, :kind)");
        let query = query
            .expression_attribute_values(":user", s(user_id))
            .expression_attribute_values(":kind", s(kind));
        let page = query
            .scan_index_forward(false)
            .limit(LOOKED_AT)
            .set_exclusive_start_key(start)
            .send()
            .await?;
        let more = page.last_evaluated_key.is_some();
        let id = |item: Item| Some(item.get("pk")?.as_s().ok()?.strip_prefix(kind)?.to_owned());
        Ok((page.items.unwrap_or_default().into_iter().filter_map(id).collect(), more))
    }

    /// The items of a kind with these ids, in their order, strongly consistent. Those that no
    /// longer stand are left out.
    async fn with_ids<T: DeserializeOwned>(&self, kind: &str, ids: &[String]) -> Result<Vec<T>> {
        let keys = ids
            .iter()
            .map(|id| Item::from([("pk".to_owned(), s(format!("{kind}{id}")))]))
            .collect();
        let id = |item: &Item| {
            item.get("pk")
                .and_then(|pk| pk.as_s().ok())
                .and_then(|pk| pk.strip_prefix(kind))
                .unwrap_or_default()
                .to_owned()
        };
        let found = self.items(&self.tables.tokens, keys).await?;
        let mut found: HashMap<String, Item> =
            found.into_iter().map(|item| (id(&item), item)).collect();
        ids.iter().filter_map(|id| found.remove(id)).map(from_item).collect()
    }

    /// The items with these keys that stand, a hundred at most, in any order, strongly consistent.
    async fn items(&self, table: &str, mut wanted: Vec<Item>) -> Result<Vec<Item>> {
        let mut found = Vec::new();
        let mut patience = Patience::new();
        while !wanted.is_empty() {
            let (asked, before) = (wanted.len(), found.len());
            let keys =
                KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let keys = keys.map_err(|error| Error::Internal(error.to_string()))?;
            let read = self.client.batch_get_item().request_items(table, keys).send().await?;
            found.extend(read.responses.into_iter().flatten().flat_map(|(_, items)| items));
            // A busy table gives a part, and so does one of large items: it names the rest.
            wanted = read
                .unprocessed_keys
                .into_iter()
                .flatten()
                .flat_map(|(_, rest)| rest.keys)
                .collect();
            let goes_on = found.len() > before || wanted.len() < asked;
            if !wanted.is_empty() && !goes_on && !patience.lasts().await {
                return Err(Error::Unavailable("a batch of items was not read in time".into()));
            }
        }
        Ok(found)
    }

    /// Sends a transaction until its outcome is known: conflicts with other writers, throttling and
    /// "still in progress" mean that nothing was applied yet, so the same bytes go out again
    /// under the same token, after a pause of random length.
    async fn transact(&self, items: Vec<TransactWriteItem>, token: &str) -> Result<Transaction> {
        self.transact_watched(items, token, &mut false).await
    }

    /// The same. `sent_again` becomes true where the SDK sent a request more than once, so that an
    /// earlier one may still be on its way.
    async fn transact_watched(
        &self,
        items: Vec<TransactWriteItem>,
        token: &str,
        sent_again: &mut bool,
    ) -> Result<Transaction> {
        let mut patience = Patience::new();
        loop {
            let attempts = Attempts::default();
            let request = self
                .client
                .transact_write_items()
                .set_transact_items(Some(items.clone()))
                .client_request_token(token);
            let sent = request.customize().interceptor(attempts.clone()).send().await;
            *sent_again |= attempts.more_than_one();
            let error = match sent {
                Ok(_) => return Ok(Transaction::Applied),
                Err(error) => error,
            };
            match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                    let reasons = cancelled.cancellation_reasons();
                    let refused = |reason: &CancellationReason| {
                        reason.code() == Some("ConditionalCheckFailed")
                    };
                    if reasons.iter().any(refused) {
                        return Ok(Transaction::Refused(reasons.to_vec()));
                    }
                }
                Some(TransactWriteItemsError::TransactionInProgressException(_)) => {}
                _ => return Err(error.into()),
            }
            if !patience.lasts().await {
                return Err(error.into());
            }
        }
    }
}

/// What became of a transaction.
enum Transaction {
    Applied,
    /// A condition didn't hold, and nothing was applied: a reason per item.
    Refused(Vec<CancellationReason>),
}

impl Transaction {
    /// The item that made the condition of the `index`-th write fail. Nothing where that one didn't
    /// fail.
    fn refused(reasons: &[CancellationReason], index: usize) -> Option<Item> {
        let reason = reasons.get(index)?;
        (reason.code() == Some("ConditionalCheckFailed"))
            .then(|| reason.item().cloned().unwrap_or_default())
    }
}

/// Pauses of growing, random length between repeated writes, within the time that one call may
/// take.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { until: Instant::now() + OPERATION, pause: Duration::from_millis(10) }
    }

    /// Waits; or says at once that there is no time left.
    async fn lasts(&mut self) -> bool {
        let mut random = [0_u8; 1];
        // Without randomness the pauses are longer than they had to be, and all the same.
        let random = aws_lc_rs::rand::fill(&mut random).map_or(u8::MAX, |()| random[0]);
        let pause = self.pause.mul_f64(0.5 + f64::from(random) / 255.0);
        if Instant::now() + pause > self.until {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.pause = (self.pause * 2).min(Duration::from_millis(500));
        true
    }
}

/// Sends a single write until no transaction on the same item turns it away. The SDK doesn't repeat
/// such conflicts; nothing was applied.
async fn send<T, E, R, F>(write: impl Fn() -> F) -> Result<T, SdkError<E, R>>
where
    E: ProvideErrorMetadata,
    F: Future<Output = Result<T, SdkError<E, R>>>,
{
    let mut patience = Patience::new();
    loop {
        match write().await {
            Err(error)
                if has_code(&error, "TransactionConflictException") && patience.lasts().await => {}
            sent => return sent,
        }
    }
}

/// Whether a conditional write was applied: `false` where its condition didn't hold.
fn applied<T, E, R>(sent: Result<T, SdkError<E, R>>) -> Result<bool>
where
    E: ProvideErrorMetadata,
{
    match sent {
        Ok(_) => Ok(true),
        Err(error) if has_code(&error, "ConditionalCheckFailedException") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn has_code<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>, code: &str) -> bool {
    error.as_service_error().is_some_and(|service| service.code() == Some(code))
}

/// Counts how often the SDK really sent a request: after a second time, a first one may still be on
/// its way.
#[derive(Clone, Debug, Default)]
struct Attempts(Arc<AtomicU32>);

impl Attempts {
    fn more_than_one(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

impl Intercept for Attempts {
    fn name(&self) -> &'static str {
        "Attempts"
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The item that refused a conditional write, where the reply held it; any other failure stays one.
fn refused_item(error: SdkError<UpdateItemError>) -> Result<Option<Item>> {
    match error.as_service_error() {
        Some(UpdateItemError::ConditionalCheckFailedException(refused)) => Ok(refused.item.clone()),
        _ => Err(error.into()),
    }
}

/// An update as one of a transaction's writes.
fn updates(update: UpdateBuilder) -> Result<TransactWriteItem> {
    let update = update.build().map_err(|error| Error::Internal(error.to_string()))?;
    Ok(TransactWriteItem::builder().update(update).build())
}

/// A put as one of a transaction's writes.
fn puts(put: PutBuilder) -> Result<TransactWriteItem> {
    let put = put.build().map_err(|error| Error::Internal(error.to_string()))?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn to_item(value: impl Serialize) -> Result<Item> {
    serde_dynamo::to_item(value).map_err(|error| Error::Internal(error.to_string()))
}

fn from_item<T: DeserializeOwned>(item: Item) -> Result<T> {
    serde_dynamo::from_item(item)
        .map_err(|error| Error::Internal(format!("a stored item: {error}")))
}

/// A text value.
fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A number value.
fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// Whether this is an id as ours are written. What is none names nothing, however long it is.
fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.to_string() == text)
}

/// How many ids one page of them holds: as many as one `BatchGetItem` takes.
const LOOKED_AT: i32 = 100;

/// A call that AWS refused for good is our mistake (500); one without a known outcome may be tried
/// again (503). So may one whose caller AWS doesn't know, since credentials grow old and the next
/// instance has others; and one whose request token has stood for something else, since that may
/// have been done.
impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for Error {
    fn from(error: SdkError<E, R>) -> Self {
        let transient = match error.as_service_error() {
            None => true,
            Some(service) => matches!(
                service.code(),
                Some(
                    "InternalServerError"
                        | "ServiceUnavailable"
                        | "ThrottlingException"
                        | "ProvisionedThroughputExceededException"
                        | "RequestLimitExceeded"
                        | "TransactionConflictException"
                        | "TransactionCanceledException"
                        | "TransactionInProgressException"
                        | "IdempotentParameterMismatchException"
                        | "ExpiredTokenException"
                        | "UnrecognizedClientException"
                        | "InvalidSignatureException"
                ) | None
            ),
        };
        let cause = aws::cause(&error);
        if transient { Self::Unavailable(cause) } else { Self::Internal(cause) }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::get_item::GetItemError;

    use super::*;

    #[test]
    fn who_is_not_let_in_may_come_again_and_our_own_mistakes_stay_ours() {
        let error = |code| {
            Error::from(SdkError::service_error(
                GetItemError::generic(ErrorMetadata::builder().code(code).build()),
                (),
            ))
        };
        for code in [
            "ExpiredTokenException",
            "UnrecognizedClientException",
            "InvalidSignatureException",
            "ThrottlingException",
        ] {
            assert!(matches!(error(code), Error::Unavailable(_)), "{code}");
        }
        for code in ["ValidationException", "ResourceNotFoundException", "AccessDeniedException"] {
            assert!(matches!(error(code), Error::Internal(_)), "{code}");
        }
    }
}
