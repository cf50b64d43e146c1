//! The only door to DynamoDB. Each file has what is done to one kind of item; only `balance` moves
//! tokens.
//!
//! Every write can be sent twice and acts once, because the SDK repeats a request whose reply was
//! lost: a condition tells the second copy from the first, or the bytes are the same.
//!
//! `account_..` reads a whole account, strongly consistent; `user_..` reads what an index shows of
//! it, which may be a moment old.

mod accounts;
mod addresses;
mod administration;
mod api_keys;
mod attempts;
mod audit;
mod balance;
mod branches;
mod census;
mod chat_search;
mod chats;
mod conversations;
mod deletion;
mod figures;
mod idempotency;
mod instructions;
mod interventions;
mod keys;
mod ledger;
mod links;
mod outbox;
mod passwords;
mod quotas;
mod read;
mod reconcile;
mod registration;
mod restore;
mod retries;
mod schema;
mod sessions;
mod spenders;
mod sweep;
mod timeline;
mod traced;
mod transaction;
mod user_lists;
mod users;
mod write;

pub use addresses::Verifier;
pub use administration::StandingChange;
pub use api_keys::{API_KEYS, StoredKey};
pub use attempts::{Attempt, registered_from};
pub use audit::{Audited, Difference};
pub use balance::{Adjusted, Adjustment, ChatLimits, Hold, Refund, Reserved, Settled, Stopped};
pub use branches::{Branch, Stretch};
pub use census::{Census, UserOrder};
pub use chat_search::ChatFilter;
pub use chats::{CHATS, ChatKey};
pub use conversations::{Conversation, ConversationChange};
pub use deletion::Erased;
pub use figures::{Figures, is_closed};
pub use idempotency::Record;
pub use interventions::Intervening;
pub use keys::PublicKey;
pub(crate) use ledger::REASON_LENGTH;
pub use ledger::{Act, ActFilter, Entry, EntryKind, Intervention, Reason};
pub use links::{Link, Purpose};
pub use outbox::Letter;
pub use quotas::Quota;
pub use reconcile::Reconciled;
pub use registration::{NewAccount, Registered};
pub use restore::{Newer, Reapplied, Since};
pub use retries::Call;
pub use schema::{CHAT_SHARDS, DAY_SHARDS, OUTBOX, USER_SHARDS, chat_month};
pub use sessions::{Ending, Freshness, Rotation, Session};
pub use spenders::{Spender, Spenders};
pub use sweep::Swept;
pub use timeline::{Place, Span};
pub use user_lists::{UserFilter, UserSource};
pub use users::{Label, Listed};

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use self::traced::Traced;
use self::transaction::{Refusals, Transaction};
use self::write::{NEW, Outcome, Patience, Sends, Write};
use crate::config::{Config, Tables};
use crate::{Error, Result, aws};

/// DynamoDB, with the tables' names. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    tables: Arc<Tables>,
}

/// An item as the SDK knows it.
type Item = HashMap<String, AttributeValue>;

impl Store {
    /// Connects to the endpoint of the settings, or to AWS.
    pub fn connect(aws: &aws_config::SdkConfig, config: &Config) -> Self {
        Self::over(aws_sdk_dynamodb::Config::from(aws).to_builder(), config)
    }

    /// The same with a client configuration that the caller has begun.
    pub fn over(mut client: aws_sdk_dynamodb::config::Builder, config: &Config) -> Self {
        if let Some(endpoint) = &config.dynamodb_endpoint {
            client.set_endpoint_url(Some(endpoint.url.clone()));
            if let Some(credentials) = aws::credentials(endpoint) {
                client.set_credentials_provider(Some(credentials));
            }
        }
        client = client.interceptor(Sends);
        if config.traces.is_some() {
            client = client.interceptor(Traced);
        }
        Self { client: Client::from_conf(client.build()), tables: Arc::new(config.tables.clone()) }
    }
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

/// A truth value.
fn flag(value: bool) -> AttributeValue {
    AttributeValue::Bool(value)
}

/// An empty map.
fn no_entries() -> AttributeValue {
    AttributeValue::M(Item::new())
}

/// True for a canonical UUID; nothing else can name an item.
fn is_id(text: &str) -> bool {
    Uuid::try_parse(text).is_ok_and(|uuid| uuid.to_string() == text)
}

/// A call that AWS refuses for good is our mistake (500); one without a known outcome can be
/// repeated (503). So can one whose credentials AWS rejects, since credentials expire and the next
/// instance has others; and one whose request token was used for other bytes, since that write may
/// have been applied.
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
