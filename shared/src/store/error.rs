//! The errors of the store.

use std::fmt;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::Error;
use crate::aws;
use crate::error::TokenFault;

/// The result of a store operation.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Why the store refused or failed an operation. Nothing was written, unless the variant says
/// otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// DynamoDB didn't confirm the write in time, so it may or may not have been applied. Contains
    /// the cause, which is meant for the log.
    Unavailable(String),
    /// DynamoDB has refused the call because a table, an index or a partition has exceeded its
    /// capacity. Nothing was written, unless an earlier attempt was applied and its reply was lost.
    /// Contains the cause, which is meant for the log.
    Throttled(String),
    /// DynamoDB has refused a transaction because the items of a table and of its local index with
    /// the same partition key have reached 10 GB
    /// ([AWS](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.ItemCollections.SizeLimit)).
    /// Nothing was written, unless an earlier attempt was applied and its reply was lost. Contains the
    /// cause, which is meant for the log.
    Full(String),
    /// DynamoDB rejected the call permanently, or a stored item can't be read. Contains the cause,
    /// which is meant for the log.
    Internal(String),
    /// The account doesn't accept the credential, or was deleted. Which failure the client receives
    /// depends on the endpoint.
    NotAccepted,
    /// The operation was refused. The client receives this failure, unless the caller handles it.
    Refused(Error),
}

impl StoreError {
    /// Returns the cause, which must be shown only in the log.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Unavailable(cause)
            | Self::Throttled(cause)
            | Self::Full(cause)
            | Self::Internal(cause) => Some(cause),
            Self::NotAccepted | Self::Refused(_) => None,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(cause)
            | Self::Throttled(cause)
            | Self::Full(cause)
            | Self::Internal(cause) => f.write_str(cause),
            Self::NotAccepted => f.write_str("the account doesn't accept the credential"),
            Self::Refused(failure) => write!(f, "refused: {}", failure.code()),
        }
    }
}

impl std::error::Error for StoreError {}

/// Converts the error into the failure that the client receives.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause)
            | StoreError::Throttled(cause)
            | StoreError::Full(cause) => Self::Unavailable(cause),
            StoreError::Internal(cause) => Self::Internal(cause),
            StoreError::NotAccepted => Self::InvalidToken(TokenFault::Unknown),
            StoreError::Refused(failure) => failure,
        }
    }
}

/// Classifies AWS errors as permanent or transient. A permanent failure indicates a bug in the
/// caller; a transient failure can be retried. Rejected AWS credentials count as a transient
/// failure, because credentials expire and the next instance of the function gets new ones. The
/// error for a request token that was reused with different bytes also counts as transient, because
/// the earlier write may have been applied.
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
