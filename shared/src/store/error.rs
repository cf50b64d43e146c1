//! The errors of the store.

use std::fmt;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws;
use crate::clock::Day;
use crate::store::periods::NextAllowance;
use crate::values::{Credits, KeyLimit, Limit};

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store refused or failed an operation. Nothing was written, unless the variant says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// DynamoDB didn't confirm in time, so the write may or may not have been applied. The text is
    /// for the log.
    Unavailable(String),
    /// DynamoDB has refused the call because a table, an index or a partition is above its
    /// capacity. Unless an earlier attempt at the call was lost, nothing was written. The text is
    /// for the log.
    Throttled(String),
    /// DynamoDB rejected the call permanently, or a stored item can't be read. The text is for the
    /// log.
    Internal(String),
    /// The account doesn't accept the credential, or was deleted.
    NotAccepted,
    /// The account isn't an administrator's.
    NotAdministrator,
    /// Administrators can't use this operation on their own account.
    OwnAccount,
    /// Administrators can't adjust their own balance.
    OwnBalance,
    /// Administrators can't change their own role or state.
    OwnStanding,
    /// The account belongs to the last administrator.
    LastAdministrator,
    /// No account has this id.
    NoSuchUser,
    /// The account has no API key with this id.
    NoSuchApiKey,
    /// The account has no conversation with this id.
    NoSuchConversation,
    /// Another account has this username.
    UsernameTaken,
    /// Another account has this e-mail address.
    EmailTaken,
    /// The account has no unverified e-mail address.
    NothingToVerify,
    /// The account has no e-mail address, or is deactivated.
    NoAddress,
    /// The link is unknown, used or expired.
    InvalidLink,
    /// The first verification of an address requires a new password or a session of the account.
    PasswordRequired,
    /// The cursor's position doesn't belong to this list.
    InvalidPosition,
    /// The idempotency key was used for another request.
    KeyReused,
    /// A request with the same idempotency key is running, or has just failed.
    KeyRunning {
        /// The seconds after which to retry.
        seconds: u32,
    },
    /// The balance is less than the price.
    InsufficientTokens {
        /// The price.
        cost: Credits,
        /// The balance.
        balance: Credits,
        /// The credits that are held for other chats of the account.
        held: Credits,
        /// The account's next allowance.
        next: Option<NextAllowance>,
    },
    /// The limit of the API key doesn't pay for the chat.
    KeyLimitReached {
        /// The price.
        cost: Credits,
        /// The limit.
        limit: KeyLimit,
        /// The credits that the key has spent or holds in this period.
        spent: Credits,
        /// The day on which a monthly limit starts again. `None` if the limit is for the key's whole life.
        resets: Option<Day>,
    },
    /// The maximum number of the account's chats are already waiting for the AI.
    TooManyChats(Limit),
    /// The account has already begun the maximum number of chats in this minute.
    TooManyChatsThisMinute(Limit),
    /// The account has already received the maximum number of refunds in this minute, or its free work
    /// of this day is used up.
    TooManyRefunds(Limit),
    /// Too many log-ins with this login or from this network have failed.
    TooManyAttempts(Limit),
    /// Too many wrong current passwords were sent in this session.
    TooManyConfirmations(Limit),
    /// The maximum number of accounts was already created from this network in this hour.
    TooManyRegistrations(Limit),
    /// An e-mail was requested less than a minute ago, or too many were requested in this hour.
    TooManyMails(Limit),
    /// Too many codes of vouchers were wrong, in this hour.
    TooManyGuesses(Limit),
    /// The account has ordered the maximum number of packs, in this hour.
    TooManyOrders(Limit),
    /// The account has the maximum number of API keys.
    TooManyApiKeys {
        /// The maximum.
        most: u32,
    },
    /// The account has the maximum number of API keys with a limit.
    TooManyLimitedKeys {
        /// The maximum.
        most: u32,
    },
}

impl StoreError {
    /// Returns the cause, which must appear only in the log.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Unavailable(cause) | Self::Throttled(cause) | Self::Internal(cause) => {
                Some(cause)
            }
            _ => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause() {
            Some(cause) => f.write_str(cause),
            None => write!(f, "refused: {self:?}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// Sorts AWS's errors into permanent and transient failures. A permanent failure is a bug in the
/// caller; a transient one can be retried. The rejection of AWS credentials counts as transient,
/// because credentials expire and the function's next instance has new ones. The error that a
/// request token was used with other bytes counts as transient, because the earlier write may have
/// been applied.
impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for StoreError {
    fn from(error: SdkError<E, R>) -> Self {
        let cause = aws::cause(&error);
        let Some(service) = error.as_service_error() else { return Self::Unavailable(cause) };
        match service.code() {
            Some(
                "ThrottlingException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded",
            ) => Self::Throttled(cause),
            Some(
                "InternalServerError"
                | "ServiceUnavailable"
                | "TransactionConflictException"
                | "TransactionCanceledException"
                | "TransactionInProgressException"
                | "IdempotentParameterMismatchException"
                | "ExpiredTokenException"
                | "UnrecognizedClientException"
                | "InvalidSignatureException",
            )
            | None => Self::Unavailable(cause),
            Some(_) => Self::Internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::get_item::GetItemError;

    use super::*;

    #[test]
    fn expired_credentials_are_retried_and_denials_are_not() {
        let error = |code| {
            StoreError::from(SdkError::service_error(
                GetItemError::generic(ErrorMetadata::builder().code(code).build()),
                (),
            ))
        };
        for code in
            ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"]
        {
            assert!(matches!(error(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in [
            "ThrottlingException",
            "ProvisionedThroughputExceededException",
            "RequestLimitExceeded",
        ] {
            assert!(matches!(error(code), StoreError::Throttled(_)), "{code}");
        }
        for code in ["ValidationException", "ResourceNotFoundException", "AccessDeniedException"] {
            assert!(matches!(error(code), StoreError::Internal(_)), "{code}");
        }
    }
}
