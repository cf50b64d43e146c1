//! Every failure that a client can get, with its status, its code for programs and its sentence for
//! people.
//!
//! A handler returns a failure where it happens. [`crate::http::edge`] logs the failure and
//! [`crate::http`] renders it, each in one place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use http::StatusCode;
use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

use crate::Credits;
use crate::clock::Day;
use crate::store::{NextAllowance, StoreError};
pub use crate::values::REQUIRED;
use crate::values::{CostsMore, Invalid, KeyLimit, Limit, LimitPeriod, Problem, turns_text};

/// The result of an operation that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// For each invalid field, sentences that say what to change in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// Returns the value if it is valid. If the value is invalid, notes the reason for the field
    /// and returns `None`.
    pub fn check<T>(&mut self, field: &str, value: Result<T, impl Into<String>>) -> Option<T> {
        value.map_err(|sentence| self.note(field, sentence)).ok()
    }

    /// Returns the problems of a list as errors of the request's field `within`.
    pub fn of(problems: Vec<Problem>, within: &str) -> Self {
        let mut errors = Self::default();
        for Problem { field, sentence } in problems {
            let names = [within, &field].into_iter().filter(|name| !name.is_empty());
            errors.note(&names.collect::<Vec<_>>().join("."), sentence);
        }
        errors
    }

    /// Notes what is wrong with a field.
    pub fn note(&mut self, field: &str, sentence: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(sentence.into());
    }

    /// Returns all noted fields as a failure.
    pub fn into_error(self) -> Error {
        Error::Invalid(self)
    }

    /// Returns true if no field was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first invalid field, and a sentence that says what to change in it.
    pub fn first(&self) -> Option<(&str, String)> {
        self.0
            .iter()
            .next()
            .map(|(field, sentences)| (field.as_str(), format!("{field}: {}", sentences.join(" "))))
    }

    fn summary(&self) -> String {
        match self.first() {
            Some((_, sentence)) if self.0.len() == 1 => sentence,
            _ => "Some fields are invalid; see errors.".into(),
        }
    }
}

/// Returns the value of a required text field. Fails if the field is missing or empty.
pub fn required(value: Option<String>) -> Result<String, Invalid> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| REQUIRED.into())
}

/// Parses the last day of something that ends, and returns the second at which the day ends.
pub fn last_day(text: &str, now: u64) -> Result<u64, Invalid> {
    let end = Day::end_of(text, now);
    end.ok_or_else(|| "This must be a day that isn't over, such as 2027-03-31.".into())
}

/// The length of a prompt and the limit in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// The prompt's length in bytes.
    pub bytes: usize,
    /// The limit in bytes.
    pub most: usize,
}

/// Why a token is invalid. Only clients of djangorestframework-simplejwt learn this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The token isn't one of this API's, or the reason is not known.
    Unknown,
    /// The token has expired.
    Expired,
    /// The token is of another type than the endpoint needs.
    OtherType,
    /// The refresh token's session has ended, or a later refresh token has replaced it.
    Ended,
    /// The header `Authorization` has a known scheme, but not exactly one token.
    Header,
}

/// A failure, with all details that the client gets.
#[derive(Clone, Debug, PartialEq, Eq, EnumDiscriminants)]
#[strum_discriminants(
    name(Failure),
    doc = "Which [`Error`] a request can end with. Endpoints list theirs, and the OpenAPI document has them.",
    derive(Deserialize, IntoStaticStr, Serialize, VariantArray)
)]
pub enum Error {
    /// 400: the request can't be parsed. The sentence says why.
    Malformed(String),
    /// 400: at least one field is invalid.
    Invalid(FieldErrors),
    /// 400: the prompt is longer than the settings or the model allow.
    PromptTooLong(Option<TooLong>),
    /// 422: the provider's filter left nothing of the answer.
    Filtered,
    /// 400: this API didn't issue the `cursor` for this user and this list.
    InvalidCursor,
    /// 400: the link token is unknown, used or expired.
    InvalidLink,
    /// 400: the link verifies an account's address for the first time, and the request has neither
    /// a new password nor an access token for that account.
    PasswordRequired,
    /// 400: the refresh token's session has ended, or a later refresh token has replaced it. Only
    /// the endpoint that checks refresh tokens returns this failure.
    TokenBlacklisted,
    /// 400: no webhook secret has signed this body, or not in the last minutes.
    InvalidSignature,
    /// 401: no active account has this username and password. Unknown and deactivated users get the
    /// same failure.
    InvalidCredentials,
    /// 401: the request has no credential.
    NotAuthenticated,
    /// 401: the token or API key is malformed, expired, revoked, of another type or signed by
    /// another key.
    InvalidToken(TokenFault),
    /// 401: the API key has expired. Only callers that know the whole key get this failure.
    ApiKeyExpired,
    /// 402: the balance is less than the price of the chat.
    InsufficientTokens {
        /// The price of the chat.
        cost: Credits,
        /// The balance.
        balance: Credits,
        /// The credits that are held for other chats of the account.
        held: Credits,
        /// True if the price depends on the message and its answer. The price is then the least
        /// that an answer to this message can cost.
        by_usage: bool,
        /// The account's next allowance. `None` if it has none.
        next: Option<NextAllowance>,
        /// The operator's advice on getting more credits. `None` if the operator has set none.
        advice: Option<String>,
    },
    /// 402: the limit of the API key doesn't pay for the chat.
    KeyLimitReached {
        /// The price, or the most that the answer can cost.
        cost: Credits,
        /// The limit.
        limit: KeyLimit,
        /// The credits that the key has spent or holds in this period.
        spent: Credits,
        /// The day on which a monthly limit starts again. `None` if the limit is for the key's whole life.
        resets: Option<Day>,
    },
    /// 429: [`Error::InsufficientTokens`] or [`Error::KeyLimitReached`] for clients of OpenAI's API,
    /// if the operator has chosen OpenAI's status for it.
    OutOfQuota(Box<Error>),
    /// 403: the access token is valid, but the current password in the request is wrong.
    WrongPassword,
    /// 403: the access token is valid, but its account isn't an administrator's.
    Forbidden,
    /// 403: the operator doesn't let administrators read or search messages.
    ChatsClosed,
    /// 404: no endpoint has this path.
    NotFound,
    /// 404: no account has this id.
    NoSuchUser,
    /// 404: the price list has no model with this name, or the API key may not use it. The name is
    /// `None` if the request has none, and the key's models are no longer in the list.
    NoSuchModel(Option<String>),
    /// 404: the price list never had this version.
    NoSuchPriceList,
    /// 404: no voucher has this code.
    NoSuchVoucher,
    /// 404: no batch of vouchers has this id.
    NoSuchVouchers,
    /// 404: no pack on sale has this id.
    NoSuchPack,
    /// 404: the operator sells nothing.
    NothingSold,
    /// 404: the caller has no session with this id, or it has ended.
    NoSuchSession,
    /// 404: the account has no API key with this id.
    NoSuchApiKey,
    /// 404: the caller has no conversation with this id, or it was deleted. Nothing was charged.
    NoSuchConversation,
    /// 404: the caller has no message with this id, or it was deleted.
    NoSuchChat,
    /// 404: the caller has no message with this idempotency key that is being answered, or was
    /// answered in the last day.
    NothingToStop,
    /// 405: the path exists, but not with this method.
    MethodNotAllowed {
        /// The allowed methods, as the `Allow` header lists them.
        allow: String,
    },
    /// 409: another account has this username.
    UsernameTaken,
    /// 409: another account has this e-mail address.
    EmailTaken,
    /// 409: the account has no unverified e-mail address.
    NothingToVerify,
    /// 409: no e-mail can be sent to the account.
    NoAddress,
    /// 409: the account has the maximum number of API keys.
    TooManyApiKeys {
        /// The maximum.
        most: u32,
    },
    /// 409: the account has the maximum number of API keys with a limit.
    TooManyLimitedKeys {
        /// The maximum.
        most: u32,
    },
    /// 409: administrators can't deactivate or demote themselves.
    OwnStanding,
    /// 409: administrators manage their own accounts with the same endpoints as other users.
    OwnAccount,
    /// 409: administrators can't adjust their own balance.
    OwnBalance,
    /// 409: the price of this answer has already been returned.
    AlreadyRefunded,
    /// 409: the voucher was used as often as it can be.
    VoucherUsed,
    /// 409: an earlier request with the same idempotency key has created the vouchers. Only its
    /// reply has their codes.
    CodesShown,
    /// 409: this account is the last administrator.
    LastAdministrator,
    /// 409: the balance is less than the amount to take.
    BalanceTooLow {
        /// The balance.
        balance: Credits,
    },
    /// 409: the chat would cost more than the request allows in `max_cost`. Nothing was charged.
    CostsMore {
        /// The least that an answer can cost.
        cost: Credits,
        /// The request's `max_cost`.
        most: Credits,
    },
    /// 409: the price list has changed since the administrator read it.
    PriceListChanged,
    /// 409: the packs have changed since the administrator read them.
    PacksChanged,
    /// 409: the account would have been granted more than [`Credits::MAX`] in total.
    GrantTooLarge,
    /// 409: a request with the same idempotency key is running, or has just failed.
    KeyRunning {
        /// The seconds to wait before a retry.
        seconds: u32,
    },
    /// 422: the idempotency key was used for a different request.
    KeyReused,
    /// 410: the message with this idempotency key was deleted.
    ChatDeleted,
    /// 410: the user stopped the message before its streamed answer began. Nothing was charged.
    Stopped,
    /// 410: the voucher has expired or was voided.
    VoucherEnded,
    /// 413: the body is too large.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// 431: a header is too large.
    HeaderTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// 415: the body's content type isn't JSON, nor that of a form where forms are accepted.
    UnsupportedMediaType,
    /// 429: the maximum number of the account's messages are waiting for the AI.
    TooManyChats(Limit),
    /// 429: the account has sent the maximum number of messages in this minute.
    TooManyChatsThisMinute(Limit),
    /// 429: the account got the maximum number of refunds in this minute or on this day.
    TooManyRefunds(Limit),
    /// 429: too many log-ins with this username or from this IP address have failed. The failure
    /// doesn't depend on whether the account exists or the password is right.
    TooManyAttempts(Limit),
    /// 429: too many wrong current passwords were sent in this session.
    TooManyConfirmations(Limit),
    /// 429: the maximum number of accounts were created from this IP address in this hour.
    TooManyRegistrations(Limit),
    /// 429: an e-mail was requested less than a minute ago, or the maximum number of verification
    /// e-mails was sent to this address in this hour.
    TooManyMails(Limit),
    /// 429: too many codes of vouchers were wrong, by this account or from this IP address, in this
    /// hour.
    TooManyGuesses(Limit),
    /// 429: the account has ordered the maximum number of packs in this hour.
    TooManyOrders(Limit),
    /// 429: too many passwords are being hashed at the same time.
    Busy(Limit),
    /// 500: an error that the client can't fix. The cause of the error is logged and never sent.
    Internal(String),
    /// 502: the AI failed. Nothing was charged.
    AiFailed,
    /// 503: the AI is overloaded. Nothing was charged.
    AiOverloaded,
    /// 504: the AI was too slow. Nothing was charged.
    AiTimedOut,
    /// 502: the AI failed, and the credits are still held. The sweep returns them.
    AiFailedTokensHeld,
    /// 503: the lease ended before the answer could be stored. Nothing was charged.
    NotCharged,
    /// 503: the payment provider refused the request or didn't answer. Nothing was paid.
    PaymentsUnavailable(String),
    /// 503: an event is about an order that isn't stored. The payment provider sends it again.
    UnknownOrder,
    /// 503: the store didn't answer. The request may or may not have taken effect.
    Unavailable(String),
}

impl Failure {
    /// Returns every failure.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }

    /// Returns the failure's name, by which the examples in the OpenAPI document are sorted.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the HTTP status.
    pub fn status(self) -> StatusCode {
        self.row().0
    }

    /// Returns the code for programs. Codes never change.
    pub fn code(self) -> &'static str {
        self.row().1
    }

    // Keep one row per failure.
    #[rustfmt::skip]
    fn row(self) -> (StatusCode, &'static str) {
        match self {
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed_request"),
            Self::Invalid => (StatusCode::BAD_REQUEST, "invalid_fields"),
            Self::PromptTooLong => (StatusCode::BAD_REQUEST, "context_length_exceeded"),
            Self::Filtered => (StatusCode::UNPROCESSABLE_ENTITY, "content_filtered"),
            Self::InvalidCursor => (StatusCode::BAD_REQUEST, "invalid_cursor"),
            Self::InvalidLink => (StatusCode::BAD_REQUEST, "invalid_link"),
            Self::PasswordRequired => (StatusCode::BAD_REQUEST, "password_required"),
            Self::TokenBlacklisted => (StatusCode::BAD_REQUEST, "token_blacklisted"),
            Self::InvalidSignature => (StatusCode::BAD_REQUEST, "invalid_signature"),
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, "invalid_credentials"),
            Self::NotAuthenticated => (StatusCode::UNAUTHORIZED, "not_authenticated"),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token"),
            Self::ApiKeyExpired => (StatusCode::UNAUTHORIZED, "api_key_expired"),
            Self::InsufficientTokens => (StatusCode::PAYMENT_REQUIRED, "insufficient_tokens"),
            Self::KeyLimitReached => (StatusCode::PAYMENT_REQUIRED, "key_limit_reached"),
            Self::OutOfQuota => (StatusCode::TOO_MANY_REQUESTS, "insufficient_tokens"),
            Self::WrongPassword => (StatusCode::FORBIDDEN, "wrong_password"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::ChatsClosed => (StatusCode::FORBIDDEN, "chats_closed"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchUser => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchModel => (StatusCode::NOT_FOUND, "model_not_found"),
            Self::NoSuchPriceList => (StatusCode::NOT_FOUND, "no_such_price_list"),
            Self::NoSuchVoucher => (StatusCode::NOT_FOUND, "no_such_voucher"),
            Self::NoSuchVouchers => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchPack => (StatusCode::NOT_FOUND, "no_such_pack"),
            Self::NothingSold => (StatusCode::NOT_FOUND, "nothing_sold"),
            Self::NoSuchSession => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchApiKey => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchConversation => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoSuchChat => (StatusCode::NOT_FOUND, "not_found"),
            Self::NothingToStop => (StatusCode::NOT_FOUND, "not_found"),
            Self::ChatDeleted => (StatusCode::GONE, "chat_deleted"),
            Self::Stopped => (StatusCode::GONE, "stopped"),
            Self::VoucherEnded => (StatusCode::GONE, "voucher_ended"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::UsernameTaken => (StatusCode::CONFLICT, "username_taken"),
            Self::EmailTaken => (StatusCode::CONFLICT, "email_taken"),
            Self::NothingToVerify => (StatusCode::CONFLICT, "nothing_to_verify"),
            Self::NoAddress => (StatusCode::CONFLICT, "no_address"),
            Self::TooManyApiKeys => (StatusCode::CONFLICT, "too_many_api_keys"),
            Self::TooManyLimitedKeys => (StatusCode::CONFLICT, "too_many_limited_keys"),
            Self::OwnStanding => (StatusCode::CONFLICT, "own_standing"),
            Self::OwnAccount => (StatusCode::CONFLICT, "own_account"),
            Self::OwnBalance => (StatusCode::CONFLICT, "own_balance"),
            Self::AlreadyRefunded => (StatusCode::CONFLICT, "already_refunded"),
            Self::VoucherUsed => (StatusCode::CONFLICT, "voucher_used"),
            Self::CodesShown => (StatusCode::CONFLICT, "codes_shown"),
            Self::LastAdministrator => (StatusCode::CONFLICT, "last_administrator"),
            Self::BalanceTooLow => (StatusCode::CONFLICT, "balance_too_low"),
            Self::CostsMore => (StatusCode::CONFLICT, "costs_more"),
            Self::PriceListChanged => (StatusCode::CONFLICT, "price_list_changed"),
            Self::PacksChanged => (StatusCode::CONFLICT, "packs_changed"),
            Self::GrantTooLarge => (StatusCode::CONFLICT, "grant_too_large"),
            Self::KeyRunning => (StatusCode::CONFLICT, "idempotency_key_running"),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::HeaderTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header_too_large"),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
            Self::TooManyChats => (StatusCode::TOO_MANY_REQUESTS, "too_many_chats"),
            Self::TooManyChatsThisMinute => (StatusCode::TOO_MANY_REQUESTS, "too_many_chats_this_minute"),
            Self::TooManyRefunds => (StatusCode::TOO_MANY_REQUESTS, "too_many_refunds"),
            Self::TooManyAttempts => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
            Self::TooManyConfirmations => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
            Self::TooManyRegistrations => (StatusCode::TOO_MANY_REQUESTS, "too_many_registrations"),
            Self::TooManyMails => (StatusCode::TOO_MANY_REQUESTS, "too_many_mails"),
            Self::TooManyGuesses => (StatusCode::TOO_MANY_REQUESTS, "too_many_guesses"),
            Self::TooManyOrders => (StatusCode::TOO_MANY_REQUESTS, "too_many_orders"),
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::AiFailed => (StatusCode::BAD_GATEWAY, "ai_failed"),
            Self::AiOverloaded => (StatusCode::SERVICE_UNAVAILABLE, "ai_overloaded"),
            Self::AiTimedOut => (StatusCode::GATEWAY_TIMEOUT, "ai_timed_out"),
            Self::AiFailedTokensHeld => (StatusCode::BAD_GATEWAY, "ai_failed"),
            Self::NotCharged => (StatusCode::SERVICE_UNAVAILABLE, "not_charged"),
            Self::PaymentsUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "payments_unavailable"),
            Self::UnknownOrder => (StatusCode::SERVICE_UNAVAILABLE, "unknown_order"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence())
    }
}

impl std::error::Error for Error {}

/// Converts a failed operation of the store to the client's failure.
impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(cause) | StoreError::Throttled(cause) => {
                Self::Unavailable(cause)
            }
            StoreError::Internal(cause) => Self::Internal(cause),
            StoreError::NotAccepted => Self::InvalidToken(TokenFault::Unknown),
            StoreError::NotAdministrator => Self::Forbidden,
            StoreError::OwnAccount => Self::OwnAccount,
            StoreError::OwnBalance => Self::OwnBalance,
            StoreError::OwnStanding => Self::OwnStanding,
            StoreError::LastAdministrator => Self::LastAdministrator,
            StoreError::NoSuchUser => Self::NoSuchUser,
            StoreError::NoSuchApiKey => Self::NoSuchApiKey,
            StoreError::NoSuchConversation => Self::NoSuchConversation,
            StoreError::UsernameTaken => Self::UsernameTaken,
            StoreError::EmailTaken => Self::EmailTaken,
            StoreError::NothingToVerify => Self::NothingToVerify,
            StoreError::NoAddress => Self::NoAddress,
            StoreError::InvalidLink => Self::InvalidLink,
            StoreError::PasswordRequired => Self::PasswordRequired,
            StoreError::InvalidPosition => Self::InvalidCursor,
            StoreError::KeyReused => Self::KeyReused,
            StoreError::KeyRunning { seconds } => Self::KeyRunning { seconds },
            StoreError::InsufficientTokens { cost, balance, held, next } => {
                Self::InsufficientTokens {
                    cost,
                    balance,
                    held,
                    by_usage: false,
                    next,
                    advice: None,
                }
            }
            StoreError::KeyLimitReached { cost, limit, spent, resets } => {
                Self::KeyLimitReached { cost, limit, spent, resets }
            }
            StoreError::TooManyChats(limit) => Self::TooManyChats(limit),
            StoreError::TooManyChatsThisMinute(limit) => Self::TooManyChatsThisMinute(limit),
            StoreError::TooManyRefunds(limit) => Self::TooManyRefunds(limit),
            StoreError::TooManyAttempts(limit) => Self::TooManyAttempts(limit),
            StoreError::TooManyConfirmations(limit) => Self::TooManyConfirmations(limit),
            StoreError::TooManyRegistrations(limit) => Self::TooManyRegistrations(limit),
            StoreError::TooManyMails(limit) => Self::TooManyMails(limit),
            StoreError::TooManyGuesses(limit) => Self::TooManyGuesses(limit),
            StoreError::TooManyOrders(limit) => Self::TooManyOrders(limit),
            StoreError::TooManyApiKeys { most } => Self::TooManyApiKeys { most },
            StoreError::TooManyLimitedKeys { most } => Self::TooManyLimitedKeys { most },
        }
    }
}

/// Converts a price that is above the request's `max_cost`.
impl From<CostsMore> for Error {
    fn from(CostsMore { cost, most }: CostsMore) -> Self {
        Self::CostsMore { cost, most }
    }
}

/// Converts the error that the operating system can't provide random bytes.
impl From<aws_lc_rs::error::Unspecified> for Error {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self::Internal("no randomness".into())
    }
}

impl Error {
    /// Creates a failure for a single invalid field.
    pub fn field(name: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors(BTreeMap::from([(name.into(), vec![sentence.into()])])))
    }

    /// Adds the operator's advice to [`Error::InsufficientTokens`]. Other failures stay unchanged.
    #[must_use]
    pub fn advised(self, advice: Option<String>) -> Self {
        match self {
            Self::InsufficientTokens { cost, balance, held, by_usage, next, .. } => {
                Self::InsufficientTokens { cost, balance, held, by_usage, next, advice }
            }
            other => other,
        }
    }

    /// Returns the kind of the failure.
    pub fn kind(&self) -> Failure {
        self.into()
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.kind().status()
    }

    /// Returns the code for programs. Codes never change.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfQuota(empty) => empty.code(),
            _ => self.kind().code(),
        }
    }

    /// Returns the sentence for people, which says what happened and what to do.
    pub fn detail(&self) -> String {
        self.sentence().into_owned()
    }

    // Keep one row per failure.
    #[rustfmt::skip]
    fn sentence(&self) -> Cow<'static, str> {
        match self {
            Self::Malformed(why) => why.clone().into(),
            Self::Invalid(fields) => fields.summary().into(),
            // Clients recognize this failure by its first words.
            Self::PromptTooLong(None) => "This model's maximum context length is less than the length of these messages. Shorten them. Nothing was charged.".into(),
            Self::PromptTooLong(Some(TooLong { bytes, most })) => format!("This model's maximum context length is {most} bytes here, and these messages have {bytes}. Shorten them. Nothing was charged.").into(),
            Self::InvalidCursor => "This cursor is invalid for this list. Follow the Link header, or start without a cursor.".into(),
            Self::InvalidLink => "This link is invalid, has already been used or has expired. Request a new one.".into(),
            Self::PasswordRequired => "Choose a new password for the account of this address, and send it as `password` with the token. Or send the token while you are logged in to that account. The link is still valid.".into(),
            Self::TokenBlacklisted => "The session of this token has ended, or a later token has replaced it. Log in again, or use the later one.".into(),
            Self::InvalidSignature => "The header Stripe-Signature doesn't have a valid signature of this body from the last five minutes.".into(),
            Self::InvalidCredentials => "Incorrect username or password.".into(),
            Self::NotAuthenticated => "Send a token: `Authorization: Bearer <token>`.".into(),
            Self::InvalidToken(_) => "This token is invalid or has expired. Log in again.".into(),
            Self::InsufficientTokens { cost, balance, held, by_usage, next, advice } => too_few(*cost, *balance, *held, *by_usage, *next, advice.as_deref()).into(),
            Self::ApiKeyExpired => "This API key has expired. Create another one.".into(),
            Self::KeyLimitReached { cost, limit, spent, resets } => key_limit(*cost, *limit, *spent, *resets).into(),
            Self::OutOfQuota(empty) => empty.sentence(),
            Self::WrongPassword => "This is not the account's current password. Nothing was changed.".into(),
            Self::Forbidden => "Only administrators may do this.".into(),
            Self::ChatsClosed => "The operator of this service hasn't allowed administrators to do this with messages. The setting ADMIN_CHATS allows it.".into(),
            Self::NotFound => "No endpoint has this path.".into(),
            Self::NoSuchUser => "No account has this id.".into(),
            Self::NoSuchModel(name) => no_such_model(name.as_deref()).into(),
            Self::NoSuchPriceList => "The price list never had this version.".into(),
            Self::NoSuchVoucher => "No voucher has this code. Check it, or ask the person who gave it to you.".into(),
            Self::NoSuchVouchers => "No vouchers have this id.".into(),
            Self::NoSuchPack => "No pack on sale has this id; GET /api/user/purchases lists them.".into(),
            Self::NoSuchSession => "You have no session with this id, or it has ended.".into(),
            Self::NoSuchApiKey => "No API key has this id, or it was revoked.".into(),
            Self::NoSuchConversation => "You have no conversation with this id, or it was deleted.".into(),
            Self::NoSuchChat => "You have no message with this id, or it was deleted.".into(),
            Self::NothingToStop => "There is no answer to stop: no message that you sent with this Idempotency-Key is being answered, or was answered in the last day.".into(),
            Self::ChatDeleted => "The message that was sent under this Idempotency-Key was deleted. Nothing was charged; choose a new key.".into(),
            // Not a 409: clients retry a 409 automatically, and would then ask again after their
            // user has stopped the message.
            Self::Stopped => "The message was stopped before its answer began. Nothing was charged.".into(),
            Self::VoucherEnded => "This voucher has expired or is no longer valid. Nothing was changed.".into(),
            Self::MethodNotAllowed { allow } => format!("This path allows {allow}.").into(),
            Self::UsernameTaken => "Another account has this username. Choose another one.".into(),
            Self::EmailTaken => "Another account has this e-mail address. Use another one.".into(),
            Self::NothingToVerify => "This account has no unverified e-mail address.".into(),
            Self::NoAddress => "This account has no e-mail address, or is deactivated. No e-mail was sent.".into(),
            Self::TooManyApiKeys { most } => format!("An account has at most {most} API keys. Revoke one that is no longer used.").into(),
            Self::TooManyLimitedKeys { most } => format!("An account has at most {most} API keys with a limit. Revoke one that is no longer used.").into(),
            Self::OwnStanding => "Administrators can't deactivate or demote themselves. Another administrator can.".into(),
            Self::OwnAccount => "This is your own account. Use the endpoints that every user has, or ask another administrator. Nothing was changed.".into(),
            Self::OwnBalance => "Administrators can't adjust their own balance. Ask another administrator. Nothing was changed.".into(),
            Self::AlreadyRefunded => "The price of this answer has already been returned, as the user's statement shows. Nothing was changed.".into(),
            Self::VoucherUsed => "This voucher has been used already. Nothing was changed.".into(),
            Self::CodesShown => "An earlier request with this Idempotency-Key has created these vouchers, and only its reply had the codes. If you don't have them, void these vouchers and create others under a new key.".into(),
            Self::LastAdministrator => "This account is the last administrator. Make another account an administrator first. Nothing was changed.".into(),
            Self::BalanceTooLow { balance } => format!("The balance is {balance} tokens, which is less than the amount to take. Nothing was changed.").into(),
            Self::CostsMore { cost, most } => format!("This message may cost up to {cost} tokens, and max_cost allows {most}. Raise max_cost, shorten the message, or choose another model. Nothing was charged.").into(),
            Self::PriceListChanged => "The price list has changed since you read it. Read it again. Nothing was changed.".into(),
            Self::PacksChanged => "The packs have changed since you read them. Read them again. Nothing was changed.".into(),
            Self::GrantTooLarge => format!("An account can be granted at most {} tokens in total. Nothing was changed.", Credits::MAX).into(),
            Self::KeyRunning { .. } => "A request with this Idempotency-Key is still running. Retry it unchanged in a moment.".into(),
            Self::KeyReused => "This Idempotency-Key was used for another request. Nothing was done; choose a new key.".into(),
            Self::BodyTooLarge { limit } => format!("The body may have at most {limit} bytes.").into(),
            Self::HeaderTooLarge { limit } => format!("A header may have at most {limit} bytes.").into(),
            Self::UnsupportedMediaType => "A body must be JSON and declared as such. Send the header `Content-Type: application/json`; with curl, add -H 'Content-Type: application/json'.".into(),
            Self::TooManyChats(_) => "Too many messages of this account are waiting for an answer. Nothing was charged; try again when one is answered.".into(),
            Self::TooManyChatsThisMinute(limit) => format!("An account may send {} messages a minute. Nothing was charged; try again {}.", limit.most, limit.retry_hint()).into(),
            Self::TooManyRefunds(limit) if limit.window == Some(60) => format!("At most {} failed messages are refunded in a minute. Nothing was charged; try again {}.", limit.most, limit.retry_hint()).into(),
            Self::TooManyRefunds(limit) => format!("Today's failed and stopped messages would have cost {} tokens, which is the limit for free messages. Nothing was charged; try again {}, or ask the operator to unlock the account.", limit.most, limit.retry_hint()).into(),
            Self::TooManyAttempts(limit) => format!("Too many log-ins have failed. Try again {}.", limit.retry_hint()).into(),
            Self::TooManyConfirmations(limit) => format!("Too many wrong passwords were sent in this session. Try again {}, or log out and log in again: a new session has its own count. If it wasn't you, end the other sessions first, which needs no password, or reset the password by e-mail.", limit.retry_hint()).into(),
            Self::TooManyRegistrations(limit) => format!("Too many accounts were created from your IP address. Try again {}.", limit.retry_hint()).into(),
            Self::TooManyMails(limit) => format!("Too many e-mails were requested. Nothing was changed; try again {}.", limit.retry_hint()).into(),
            Self::TooManyGuesses(limit) => format!("Too many voucher codes were wrong. Try again {}.", limit.retry_hint()).into(),
            Self::TooManyOrders(limit) => format!("An account can order {} packs an hour. Nothing was ordered; try again {}.", limit.most, limit.retry_hint()).into(),
            Self::Busy(_) => "Too many log-ins are in progress. Try again in a moment.".into(),
            Self::Internal(_) => "An internal error occurred. It was logged with the request_id.".into(),
            Self::Filtered => "The AI's content filter withheld the whole answer. Nothing was charged; change the message.".into(),
            Self::AiFailed => "The AI did not answer. Nothing was charged; try again.".into(),
            Self::AiOverloaded => "The AI is overloaded. Nothing was charged; try again in a moment.".into(),
            Self::AiTimedOut => "The AI did not answer in time. Nothing was charged; try again, or ask for a shorter answer.".into(),
            Self::AiFailedTokensHeld => "The AI did not answer. The tokens reserved for this message are returned within minutes.".into(),
            Self::NotCharged => "The answer came too late to be stored. Nothing was charged; try again.".into(),
            Self::NothingSold => "The operator of this service sells no tokens here.".into(),
            Self::PaymentsUnavailable(_) => "The payment page can't be opened now. Nothing was paid; try again in a moment.".into(),
            Self::UnknownOrder => "No order has this id. Send the event again later.".into(),
            Self::Unavailable(_) => "The database did not confirm in time, so this request may or may not have taken effect. Retry it with the same Idempotency-Key, or check first whether it took effect.".into(),
        }
    }

    /// Returns the seconds to wait before a retry. `None` if a retry wouldn't help.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::NotCharged => Some(1),
            Self::AiOverloaded => Some(5),
            Self::KeyRunning { seconds } => Some(*seconds),
            Self::Unavailable(_) | Self::PaymentsUnavailable(_) | Self::UnknownOrder => Some(5),
            _ => self.limit().map(|limit| u32::try_from(limit.reset).unwrap_or(u32::MAX)),
        }
    }

    /// Returns the limit that the request exceeded. `None` for all other failures.
    pub fn limit(&self) -> Option<&Limit> {
        match self {
            Self::TooManyChats(limit)
            | Self::TooManyChatsThisMinute(limit)
            | Self::TooManyRefunds(limit)
            | Self::TooManyAttempts(limit)
            | Self::TooManyConfirmations(limit)
            | Self::TooManyRegistrations(limit)
            | Self::TooManyMails(limit)
            | Self::TooManyGuesses(limit)
            | Self::TooManyOrders(limit)
            | Self::Busy(limit) => Some(limit),
            _ => None,
        }
    }

    /// Logs the cause, if there is one.
    pub fn log(&self) {
        if let Some(cause) = self.cause() {
            tracing::error!(code = self.code(), cause, "request failed");
        }
    }

    /// Returns the cause, which is only for the log.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::Unavailable(cause) | Self::PaymentsUnavailable(cause) => {
                Some(cause)
            }
            _ => None,
        }
    }
}

/// The maximum length of a model's name in a sentence, in characters. Names in a price list are
/// shorter.
const MODEL_NAME: usize = 100;

/// Returns the sentences for [`Error::NoSuchModel`]. Clients recognize the failure by its first
/// words.
fn no_such_model(name: Option<&str>) -> String {
    let Some(name) = name else {
        return "The price list no longer has any of the models that this API key may use. Create another key.".into();
    };
    let mut shown = name.chars().filter(|c| !c.is_control() && !turns_text(*c));
    let mut name: String = shown.by_ref().take(MODEL_NAME).collect();
    if shown.next().is_some() {
        name.push('…');
    }
    format!(
        "The model `{name}` does not exist or you do not have access to it. GET /v1/models lists the models that you can use."
    )
}

/// Returns the sentences for [`Error::KeyLimitReached`].
fn key_limit(cost: Credits, limit: KeyLimit, spent: Credits, resets: Option<Day>) -> String {
    let KeyLimit { tokens, per } = limit;
    let period = match per {
        LimitPeriod::Month => " in a month",
        LimitPeriod::Total => "",
    };
    let left = tokens.checked_sub(spent).unwrap_or_default();
    let next = match resets {
        Some(day) => format!("Wait until {day}, or use another key."),
        None => "Use another key.".into(),
    };
    format!(
        "This API key may spend {tokens} tokens{period}, and has {left} left. This message can cost {cost} tokens. Nothing was charged. {next}"
    )
}

/// Returns the sentences for [`Error::InsufficientTokens`]. The web pages read the price from these
/// sentences.
fn too_few(
    cost: Credits,
    balance: Credits,
    held: Credits,
    by_usage: bool,
    next: Option<NextAllowance>,
    advice: Option<&str>,
) -> String {
    let holding = match held {
        Credits::ZERO => String::new(),
        held => format!(", and {held} are held for an unfinished message"),
    };
    let price = match by_usage {
        false => format!("A message costs {cost} tokens"),
        true => format!(
            "This message may cost up to {cost} tokens with this model, even if its answer is short"
        ),
    };
    let next = next.map(|NextAllowance { tokens, day }| {
        format!(" On {day} (UTC) your balance is filled up to {tokens} tokens.")
    });
    let next = next.unwrap_or_default();
    let advice = advice.map(|advice| format!(" {advice}")).unwrap_or_default();
    format!("You have {balance} tokens{holding}. {price}. Nothing was charged.{next}{advice}")
}
