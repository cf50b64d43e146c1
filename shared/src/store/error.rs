//! Why the store didn't do what it was asked for.

use std::fmt;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws;
use crate::values::{Credits, Limit};

/// The result of a call to the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store didn't do what it was asked for. Unless it says otherwise, nothing was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// DynamoDB didn't confirm in time: the write may have been applied or not. The text is for the
    /// log.
    Unavailable(String),
    /// DynamoDB refused the call for good, or a stored item can't be read. The text is for the log.
    Internal(String),
    /// The account doesn't accept the credential, or was deleted.
    NotAccepted,
    /// The account isn't an administrator's.
    NotAdministrator,
    /// Administrators can't do this to their own account.
    OwnAccount,
    /// Administrators can't adjust their own balance.
    OwnBalance,
    /// Administrators can't change their own role or state.
    OwnStanding,
    /// This account is the last administrator.
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
    /// The account has no address to which an e-mail can be sent.
    NoAddress,
    /// The link is unknown, used or expired.
    InvalidLink,
    /// A first verification needs a new password or a session of the account.
    PasswordRequired,
    /// The position isn't one of this list.
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
    },
    /// The maximum number of the account's chats wait for the AI.
    TooManyChats(Limit),
    /// The account has begun the maximum number of chats in this minute.
    TooManyChatsThisMinute(Limit),
    /// The account got the maximum number of refunds in this minute or this day.
    TooManyRefunds(Limit),
    /// Too many log-ins with this login or from this network have failed.
    TooManyAttempts(Limit),
    /// Too many wrong current passwords were sent in this session.
    TooManyConfirmations(Limit),
    /// The maximum number of accounts was created from this network in this hour.
    TooManyRegistrations(Limit),
    /// An e-mail was requested less than a minute ago, or too many in this hour.
    TooManyMails(Limit),
    /// The account has the maximum number of API keys.
    TooManyApiKeys {
        /// The maximum.
        most: u32,
    },
}

impl StoreError {
    /// The cause, which only the log may contain.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Unavailable(cause) | Self::Internal(cause) => Some(cause),
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

/// A call that AWS refuses for good is a mistake of the caller's; one without a known outcome can be
/// repeated. So can one whose credentials AWS rejects, because credentials expire and the next
/// instance has others; and one whose request token was used for other bytes, because that write may
/// have been applied.
impl<E: ProvideErrorMetadata, R> From<SdkError<E, R>> for StoreError {
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
    fn expired_credentials_are_retried_and_denials_are_not() {
        let error = |code| {
            StoreError::from(SdkError::service_error(
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
            assert!(matches!(error(code), StoreError::Unavailable(_)), "{code}");
        }
        for code in ["ValidationException", "ResourceNotFoundException", "AccessDeniedException"] {
            assert!(matches!(error(code), StoreError::Internal(_)), "{code}");
        }
    }
}
