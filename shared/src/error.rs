//! Every failure that a client can get: its status, its code for programs and its sentence for
//! people.
//!
//! A handler returns the failure where it happens. [`crate::edge`] logs it and [`crate::http`]
//! renders it, once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;

use crate::Tokens;
use crate::limit::Limit;

/// The result of a step that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Sentences per field that say what to change in the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// The value. If it is invalid, notes why for its field and returns `None`.
    pub fn check<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|sentence| self.note(field, sentence)).ok()
    }

    /// Notes what is wrong with a field.
    pub fn note(&mut self, field: &str, sentence: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(sentence.into());
    }

    /// Everything noted so far, as a failure.
    pub fn into_error(self) -> Error {
        Error::Invalid(self)
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first invalid field, and what to change in it.
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

/// The sentence for a required field that is missing.
pub const REQUIRED: &str = "This field is required.";

/// The text of a required field. A missing field and an empty one are refused.
pub fn required(value: Option<String>) -> Result<String, String> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| REQUIRED.into())
}

/// How long a prompt is, and may be, if the settings limit it and not only the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong {
    /// Its bytes.
    pub bytes: usize,
    /// The limit in bytes.
    pub most: usize,
}

/// A failure, as the client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// 400: the request can't be parsed; the sentence says why.
    Malformed(String),
    /// 400: fields are invalid.
    Invalid(FieldErrors),
    /// 400: the prompt is longer than the settings or the model allow.
    PromptTooLong(Option<TooLong>),
    /// 400: this API didn't issue the `cursor` for this user and this list.
    InvalidCursor,
    /// 400: the token of an e-mailed link is unknown, used or expired.
    InvalidLink,
    /// 400: the link verifies the address of an account for the first time, and the request has
    /// neither a new password nor a token of that account.
    PasswordRequired,
    /// 400: a refresh token whose session has ended, or that was replaced. Only its check says so.
    TokenBlacklisted,
    /// 401: no active account has this username and password. The same for unknown and deactivated
    /// users.
    InvalidCredentials,
    /// 401: the request has no token.
    NotAuthenticated,
    /// 401: the token is malformed, expired, revoked, of another type or signed by another key.
    InvalidToken,
    /// 402: the balance is less than the price of a message.
    InsufficientTokens {
        /// The price of a message.
        cost: Tokens,
        /// The balance.
        balance: Tokens,
        /// The tokens that are held for other messages of the account.
        held: Tokens,
        /// How to get more tokens, if the operator says so.
        advice: Option<String>,
    },
    /// 429: [`Error::InsufficientTokens`] for clients of OpenAI's API, if the operator wants OpenAI's
    /// own status for it.
    OutOfQuota(Box<Error>),
    /// 403: the token is valid, but the current password in the request is wrong.
    WrongPassword,
    /// 403: the token is valid, but its account isn't an administrator.
    Forbidden,
    /// 403: the operator doesn't let administrators read or search messages.
    ChatsClosed,
    /// 404: no endpoint has this path.
    NotFound,
    /// 404: no account has this id.
    NoSuchUser,
    /// 404: no configured provider has this model.
    NoSuchModel,
    /// 404: the caller has no session with this id, or it has ended.
    NoSuchSession,
    /// 404: the account has no API key with this id.
    NoSuchApiKey,
    /// 404: the caller has no conversation with this id, or it was deleted. Nothing was charged.
    NoSuchConversation,
    /// 404: the caller has no message with this id, or it was deleted.
    NoSuchChat,
    /// 404: no message of the caller with this idempotency key is being answered, or was answered
    /// in the last day.
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
    /// 409: administrators can't deactivate or demote themselves.
    OwnStanding,
    /// 409: administrators manage their own accounts as every user does.
    OwnAccount,
    /// 409: administrators can't adjust their own balance.
    OwnBalance,
    /// 409: the price of this answer was returned before.
    AlreadyRefunded,
    /// 409: this account is the last administrator.
    LastAdministrator,
    /// 409: the balance is less than the amount to take.
    BalanceTooLow {
        /// The balance.
        balance: Tokens,
    },
    /// 409: the account would have been granted more than [`Tokens::MAX`] in total.
    GrantTooLarge,
    /// 409: a request with the same idempotency key is running, or has just failed.
    KeyRunning {
        /// The seconds after which to retry.
        seconds: u32,
    },
    /// 422: the idempotency key was used for a different request.
    KeyReused,
    /// 410: the message that was sent under this idempotency key was deleted.
    ChatDeleted,
    /// 410: the message was stopped before its streamed answer began; nothing was charged.
    Stopped,
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
    /// 415: the body isn't declared as JSON, or as a form where one is taken.
    UnsupportedMediaType,
    /// 429: the maximum number of this account's messages wait for the AI.
    TooManyChats(Limit),
    /// 429: the account has sent the maximum number of messages in this minute.
    TooManyChatsThisMinute(Limit),
    /// 429: the account got the maximum number of refunds in this minute or this day.
    TooManyRefunds(Limit),
    /// 429: too many log-ins with this username or from this IP address have failed. The same
    /// whether or not the account exists and the password is right.
    TooManyAttempts(Limit),
    /// 429: too many wrong current passwords in this session of the account.
    TooManyConfirmations(Limit),
    /// 429: the maximum number of accounts was created from this IP address in this hour.
    TooManyRegistrations(Limit),
    /// 429: an e-mail was requested less than a minute ago, or this e-mail address got the maximum
    /// number of verification e-mails in this hour.
    TooManyMails(Limit),
    /// 429: too many passwords are being hashed at once.
    Busy(Limit),
    /// 500: an error that the client can't fix. Its cause is in the log, never in the reply.
    Internal(String),
    /// 502: the AI failed; nothing was charged.
    AiFailed,
    /// 503: the AI is overloaded; nothing was charged.
    AiOverloaded,
    /// 504: the AI was too slow; nothing was charged.
    AiTimedOut,
    /// 502: the AI failed and the tokens are still reserved; the sweep returns them.
    AiFailedTokensHeld,
    /// 503: the lease ended before the answer could be stored; nothing was charged.
    NotCharged,
    /// 503: the store didn't answer. The request may have taken effect or not.
    Unavailable(String),
}

impl Error {
    /// A single invalid field.
    pub fn field(name: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors(BTreeMap::from([(name.into(), vec![sentence.into()])])))
    }

    /// The same failure with the operator's words on how to get more tokens, if it is about them.
    #[must_use]
    pub fn advised(self, advice: Option<String>) -> Self {
        match self {
            Self::InsufficientTokens { cost, balance, held, .. } => {
                Self::InsufficientTokens { cost, balance, held, advice }
            }
            other => other,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.told().0
    }

    /// The code for programs. Codes never change.
    pub fn code(&self) -> &'static str {
        self.told().1
    }

    /// The sentence for people: what happened and what to do.
    pub fn detail(&self) -> String {
        self.told().2.into_owned()
    }

    /// The status, the code and the sentence of each failure. [`crate::openapi::failures`] has a
    /// sample of each, since it knows the settings; a test compares the two.
    // One row per failure.
    #[rustfmt::skip]
    fn told(&self) -> (StatusCode, &'static str, Cow<'static, str>) {
        match self {
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, "malformed_request",
                why.clone().into()),
            Self::Invalid(fields) => (StatusCode::BAD_REQUEST, "invalid_fields",
                fields.summary().into()),
            // Clients look for its first words.
            Self::PromptTooLong(None) => (StatusCode::BAD_REQUEST, "context_length_exceeded",
                "This model's maximum context length is less than the length of these messages. Shorten them. Nothing was charged.".into()),
            Self::PromptTooLong(Some(TooLong { bytes, most })) => (StatusCode::BAD_REQUEST, "context_length_exceeded",
                format!("This model's maximum context length is {most} bytes here, and these messages have {bytes}. Shorten them. Nothing was charged.").into()),
            Self::InvalidCursor => (StatusCode::BAD_REQUEST, "invalid_cursor",
                "This cursor is invalid for this list. Follow the Link header, or start without a cursor.".into()),
            Self::InvalidLink => (StatusCode::BAD_REQUEST, "invalid_link",
                "This link is invalid, has already been used or has expired. Request a new one.".into()),
            Self::PasswordRequired => (StatusCode::BAD_REQUEST, "password_required",
                "Choose a new password for the account of this address, and send it as `password` with the token. Or send the token while you are logged in to that account. The link is still valid.".into()),
            Self::TokenBlacklisted => (StatusCode::BAD_REQUEST, "token_blacklisted",
                "The session of this token has ended, or a later token has replaced it. Log in again, or use the later one.".into()),
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, "invalid_credentials",
                "Incorrect username or password.".into()),
            Self::NotAuthenticated => (StatusCode::UNAUTHORIZED, "not_authenticated",
                "Send a token: `Authorization: Bearer <token>`.".into()),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token",
                "This token is invalid or has expired. Log in again.".into()),
            Self::InsufficientTokens { cost, balance, held, advice } => (StatusCode::PAYMENT_REQUIRED, "insufficient_tokens",
                too_few(*cost, *balance, *held, advice.as_deref()).into()),
            Self::OutOfQuota(empty) => (StatusCode::TOO_MANY_REQUESTS, empty.code(),
                empty.detail().into()),
            Self::WrongPassword => (StatusCode::FORBIDDEN, "wrong_password",
                "This is not the account's current password. Nothing was changed.".into()),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden",
                "Only administrators may do this.".into()),
            Self::ChatsClosed => (StatusCode::FORBIDDEN, "chats_closed",
                "The operator of this service hasn't allowed administrators to do this with messages. The setting ADMIN_CHATS allows it.".into()),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found",
                "No endpoint has this path.".into()),
            Self::NoSuchUser => (StatusCode::NOT_FOUND, "not_found",
                "No account has this id.".into()),
            Self::NoSuchModel => (StatusCode::NOT_FOUND, "model_not_found",
                "No model has this name; /v1/models lists them. Completions ignore the model that a request names.".into()),
            Self::NoSuchSession => (StatusCode::NOT_FOUND, "not_found",
                "You have no session with this id, or it has ended.".into()),
            Self::NoSuchApiKey => (StatusCode::NOT_FOUND, "not_found",
                "No API key has this id, or it was revoked.".into()),
            Self::NoSuchConversation => (StatusCode::NOT_FOUND, "not_found",
                "You have no conversation with this id, or it was deleted.".into()),
            Self::NoSuchChat => (StatusCode::NOT_FOUND, "not_found",
                "You have no message with this id, or it was deleted.".into()),
            Self::NothingToStop => (StatusCode::NOT_FOUND, "not_found",
                "There is no answer to stop: no message that you sent with this Idempotency-Key is being answered, or was answered in the last day.".into()),
            Self::ChatDeleted => (StatusCode::GONE, "chat_deleted",
                "The message that was sent under this Idempotency-Key was deleted. Nothing was charged; choose a new key.".into()),
            // A client that retries by itself must not ask again what its user stopped: no 409.
            Self::Stopped => (StatusCode::GONE, "stopped",
                "The message was stopped before its answer began. Nothing was charged.".into()),
            Self::MethodNotAllowed { allow } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed",
                format!("This path allows {allow}.").into()),
            Self::UsernameTaken => (StatusCode::CONFLICT, "username_taken",
                "Another account has this username. Choose another one.".into()),
            Self::EmailTaken => (StatusCode::CONFLICT, "email_taken",
                "Another account has this e-mail address. Use another one.".into()),
            Self::NothingToVerify => (StatusCode::CONFLICT, "nothing_to_verify",
                "This account has no unverified e-mail address.".into()),
            Self::NoAddress => (StatusCode::CONFLICT, "no_address",
                "This account has no e-mail address, or is deactivated. No e-mail was sent.".into()),
            Self::TooManyApiKeys { most } => (StatusCode::CONFLICT, "too_many_api_keys",
                format!("An account has at most {most} API keys. Revoke one that is no longer used.").into()),
            Self::OwnStanding => (StatusCode::CONFLICT, "own_standing",
                "Administrators can't deactivate or demote themselves. Another administrator can.".into()),
            Self::OwnAccount => (StatusCode::CONFLICT, "own_account",
                "This is your own account. Use the endpoints that every user has, or ask another administrator. Nothing was changed.".into()),
            Self::OwnBalance => (StatusCode::CONFLICT, "own_balance",
                "Administrators can't adjust their own balance. Ask another administrator. Nothing was changed.".into()),
            Self::AlreadyRefunded => (StatusCode::CONFLICT, "already_refunded",
                "The price of this answer was returned before, and is in the user's statement. Nothing was changed.".into()),
            Self::LastAdministrator => (StatusCode::CONFLICT, "last_administrator",
                "This account is the last administrator. Make another account an administrator first. Nothing was changed.".into()),
            Self::BalanceTooLow { balance } => (StatusCode::CONFLICT, "balance_too_low",
                format!("The balance is {balance} tokens, which is less than the amount to take. Nothing was changed.").into()),
            Self::GrantTooLarge => (StatusCode::CONFLICT, "grant_too_large",
                format!("An account can be granted at most {} tokens in total. Nothing was changed.", Tokens::MAX).into()),
            Self::KeyRunning { .. } => (StatusCode::CONFLICT, "idempotency_key_running",
                "A request with this Idempotency-Key is still running. Retry it unchanged in a moment.".into()),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused",
                "This Idempotency-Key was used for another request. Nothing was done; choose a new key.".into()),
            Self::BodyTooLarge { limit } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large",
                format!("The body may have at most {limit} bytes.").into()),
            Self::HeaderTooLarge { limit } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header_too_large",
                format!("A header may have at most {limit} bytes.").into()),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
                "A body must be JSON and declared as such. Send the header `Content-Type: application/json`; with curl, add -H 'Content-Type: application/json'.".into()),
            Self::TooManyChats(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_chats",
                "Too many messages of this account are waiting for an answer. Nothing was charged; try again when one is answered.".into()),
            Self::TooManyChatsThisMinute(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_chats_this_minute",
                format!("An account may send {} messages a minute. Nothing was charged; try again {}.", limit.most, limit.when()).into()),
            Self::TooManyRefunds(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_refunds",
                format!("An account gets at most {} refunds a {} for failed messages. Nothing was charged; try again {}.", limit.most, if limit.window == Some(60) { "minute" } else { "day" }, limit.when()).into()),
            Self::TooManyAttempts(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts",
                format!("Too many log-ins have failed. Try again {}.", limit.when()).into()),
            Self::TooManyConfirmations(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts",
                format!("Too many wrong passwords were sent in this session. Try again {}, or log out and log in again: a new session has its own count. If it wasn't you, end the other sessions first, which needs no password, or reset the password by e-mail.", limit.when()).into()),
            Self::TooManyRegistrations(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_registrations",
                format!("Too many accounts were created from your IP address. Try again {}.", limit.when()).into()),
            Self::TooManyMails(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_mails",
                format!("Too many e-mails were requested. Nothing was changed; try again {}.", limit.when()).into()),
            Self::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "busy",
                "Too many log-ins are in progress. Try again in a moment.".into()),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error",
                "An internal error occurred. It was logged with the request_id.".into()),
            Self::AiFailed => (StatusCode::BAD_GATEWAY, "ai_failed",
                "The AI did not answer. Nothing was charged; try again.".into()),
            Self::AiOverloaded => (StatusCode::SERVICE_UNAVAILABLE, "ai_overloaded",
                "The AI is overloaded. Nothing was charged; try again in a moment.".into()),
            Self::AiTimedOut => (StatusCode::GATEWAY_TIMEOUT, "ai_timed_out",
                "The AI did not answer in time. Nothing was charged; try again, or ask for a shorter answer.".into()),
            Self::AiFailedTokensHeld => (StatusCode::BAD_GATEWAY, "ai_failed",
                "The AI did not answer. The tokens reserved for this message are returned within minutes.".into()),
            Self::NotCharged => (StatusCode::SERVICE_UNAVAILABLE, "not_charged",
                "The answer came too late to be stored. Nothing was charged; try again.".into()),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable",
                "The database did not confirm in time, so this request may or may not have taken effect. Retry it with the same Idempotency-Key, or check first whether it took effect.".into()),
        }
    }

    /// The seconds after which to retry. `None` if a retry wouldn't help.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::NotCharged => Some(1),
            Self::AiOverloaded => Some(5),
            Self::KeyRunning { seconds } => Some(*seconds),
            Self::Unavailable(_) => Some(5),
            _ => self.limit().map(|limit| u32::try_from(limit.reset).unwrap_or(u32::MAX)),
        }
    }

    /// The limit that the request exceeded, if it did.
    pub fn limit(&self) -> Option<&Limit> {
        match self {
            Self::TooManyChats(limit)
            | Self::TooManyChatsThisMinute(limit)
            | Self::TooManyRefunds(limit)
            | Self::TooManyAttempts(limit)
            | Self::TooManyConfirmations(limit)
            | Self::TooManyRegistrations(limit)
            | Self::TooManyMails(limit)
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

    /// The cause, which only the log may contain.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::Unavailable(cause) => Some(cause),
            _ => None,
        }
    }
}

/// The sentences of [`Error::InsufficientTokens`]. The pages read the price in them.
fn too_few(cost: Tokens, balance: Tokens, held: Tokens, advice: Option<&str>) -> String {
    let holding = match held {
        Tokens::ZERO => String::new(),
        held => format!(", and {held} are held for an unfinished message"),
    };
    let advice = advice.map(|advice| format!(" {advice}")).unwrap_or_default();
    format!(
        "You have {balance} tokens{holding}. A message costs {cost} tokens. Nothing was charged.{advice}"
    )
}
