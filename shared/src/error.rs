//! Every failure that a client can meet: its status, its code for programs and its sentence for
//! people.
//!
//! A handler names a failure where it happens; [`crate::http`] renders and logs it, once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;

use crate::Tokens;
use crate::limit::Limit;

/// What a fallible step of a handler gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Sentences per field that say what to change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(BTreeMap<String, Vec<String>>);

impl FieldErrors {
    /// The value, or a note of what is wrong with its field.
    pub fn check<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|sentence| self.note(field, sentence)).ok()
    }

    /// Notes what is wrong with a field.
    pub fn note(&mut self, field: &str, sentence: impl Into<String>) {
        self.0.entry(field.to_owned()).or_default().push(sentence.into());
    }

    /// Everything noted so far, as the failure to answer with.
    pub fn into_error(self) -> Error {
        Error::Invalid(self)
    }

    /// Whether nothing was noted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first field that something was noted of, and what to change there.
    pub fn first(&self) -> Option<(&str, String)> {
        self.0
            .iter()
            .next()
            .map(|(field, sentences)| (field.as_str(), format!("{field}: {}", sentences.join(" "))))
    }

    fn summary(&self) -> String {
        match self.first() {
            Some((_, sentence)) if self.0.len() == 1 => sentence,
            _ => "Some fields are not valid; see errors.".into(),
        }
    }
}

/// What a required field is told that isn't there.
pub const REQUIRED: &str = "This field is required.";

/// What a required field holds: some text.
pub fn required(value: Option<String>) -> Result<String, String> {
    value.filter(|text| !text.is_empty()).ok_or_else(|| REQUIRED.into())
}

/// A failure, as the client meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// 400: the request can't be read at all; the sentence says why.
    Malformed(String),
    /// 400: fields hold what they may not.
    Invalid(FieldErrors),
    /// 400: the `cursor` wasn't made by this API for this user and this search.
    InvalidCursor,
    /// 400: a mailed link is unknown, used, or too old.
    InvalidLink,
    /// 401: nobody has this name with this password. Says the same of an unknown user and a
    /// deactivated one.
    InvalidCredentials,
    /// 401: no token came with the request.
    NotAuthenticated,
    /// 401: the token is malformed, expired, revoked, of another type or signed by another key.
    InvalidToken,
    /// 402: the balance is less than a chat costs.
    InsufficientTokens {
        /// What the chat costs.
        cost: Tokens,
    },
    /// 403: the token is good, but the current password that came with it is not.
    WrongPassword,
    /// 403: the token is good, but its account is no administrator's.
    Forbidden,
    /// 404: nothing is served under this path.
    NotFound,
    /// 404: no account has this id.
    NoSuchUser,
    /// 404: no provider of the settings has this model.
    NoSuchModel,
    /// 404: no session of the caller's has this id, or it has ended.
    NoSuchSession,
    /// 404: no API key of the caller's has this id.
    NoSuchApiKey,
    /// 404: no conversation of the caller's has this id, or it was deleted. Nothing was charged.
    NoSuchConversation,
    /// 404: no chat of the caller's has this id, or it was deleted.
    NoSuchChat,
    /// 405: the path is served, but not with this method.
    MethodNotAllowed {
        /// The methods that are, as the `Allow` header lists them.
        allow: String,
    },
    /// 409: another account has this name.
    UsernameTaken,
    /// 409: another account has this e-mail address.
    EmailTaken,
    /// 409: the account has no address that waits to be verified.
    NothingToVerify,
    /// 409: the account has as many API keys as it may.
    TooManyApiKeys {
        /// How many that are.
        most: u32,
    },
    /// 409: administrators neither deactivate nor demote themselves.
    OwnStanding,
    /// 409: without this account nobody would be an administrator any more.
    LastAdministrator,
    /// 409: the balance is less than was to be taken.
    BalanceTooLow {
        /// What can be spent.
        balance: Tokens,
    },
    /// 409: the account would have been granted more than may be.
    GrantTooLarge,
    /// 409: a request with the same idempotency key is still running, or ended a moment ago without
    /// success.
    KeyRunning {
        /// When to try again, in seconds.
        seconds: u32,
    },
    /// 422: the idempotency key was used with another payload.
    KeyReused,
    /// 410: the chat that this idempotency key made was deleted since.
    ChatDeleted,
    /// 413: the body is over the limit.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// 431: a header is over the limit.
    HeaderTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// 415: the body isn't declared as JSON.
    UnsupportedMediaType,
    /// 429: as many chats of this account as may are waiting for the AI.
    TooManyChats(Limit),
    /// 429: as many chats of this account as may have begun in this minute.
    TooManyChatsThisMinute(Limit),
    /// 429: as many chats of this account as may have failed and were refunded.
    TooManyRefunds(Limit),
    /// 429: too many log-ins under this name or from this address have failed. Says the same
    /// whoever has the name, and of the right password.
    TooManyAttempts(Limit),
    /// 429: as many accounts as may were opened from this address in this hour.
    TooManyRegistrations(Limit),
    /// 429: a mail was asked for a moment ago.
    TooManyMails(Limit),
    /// 429: too many passwords are being checked at once.
    Busy(Limit),
    /// 500: something broke that the client can't mend. The cause is in the log, never in the
    /// reply.
    Internal(String),
    /// 502: the AI failed; nothing was charged.
    AiFailed,
    /// 503: the AI has too much to do; nothing was charged.
    AiOverloaded,
    /// 504: the AI was too slow; nothing was charged.
    AiTimedOut,
    /// 502: the AI failed, and the tokens it was to cost are still held; they come back by
    /// themselves.
    AiFailedTokensHeld,
    /// 503: the chat's lease ended before its answer could be stored; nothing was charged.
    NotCharged,
    /// 503: the store doesn't answer. What was asked for may have happened or not.
    Unavailable(String),
}

impl Error {
    /// A single field that holds what it may not.
    pub fn field(name: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::Invalid(FieldErrors(BTreeMap::from([(name.into(), vec![sentence.into()])])))
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.told().0
    }

    /// The word that programs branch on. It never changes.
    pub fn code(&self) -> &'static str {
        self.told().1
    }

    /// The sentence for people: what happened, and what to do.
    pub fn detail(&self) -> String {
        self.told().2.into_owned()
    }

    /// What the client is told: the status, the code and the sentence of each failure. A sample of
    /// each is in [`crate::openapi::failures`], which knows the settings; a test compares the two.
    // One failure, one row.
    #[rustfmt::skip]
    fn told(&self) -> (StatusCode, &'static str, Cow<'static, str>) {
        match self {
            Self::Malformed(why) => (StatusCode::BAD_REQUEST, "malformed_request",
                why.clone().into()),
            Self::Invalid(fields) => (StatusCode::BAD_REQUEST, "invalid_fields",
                fields.summary().into()),
            Self::InvalidCursor => (StatusCode::BAD_REQUEST, "invalid_cursor",
                "This cursor is not one of yours. Follow the Link header, or start without a cursor.".into()),
            Self::InvalidLink => (StatusCode::BAD_REQUEST, "invalid_link",
                "This link was used, is too old, or was never mailed. Ask for a new one.".into()),
            Self::InvalidCredentials => (StatusCode::UNAUTHORIZED, "invalid_credentials",
                "No account has this name and password.".into()),
            Self::NotAuthenticated => (StatusCode::UNAUTHORIZED, "not_authenticated",
                "Send a token: `Authorization: Bearer <token>`.".into()),
            Self::InvalidToken => (StatusCode::UNAUTHORIZED, "invalid_token",
                "This token is not valid or no longer is. Log in again.".into()),
            Self::InsufficientTokens { cost } => (StatusCode::PAYMENT_REQUIRED, "insufficient_tokens",
                format!("A chat costs {cost} tokens and the balance is less. Nothing was charged.").into()),
            Self::WrongPassword => (StatusCode::FORBIDDEN, "wrong_password",
                "This is not the account's current password. Nothing was changed.".into()),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden",
                "This is for administrators.".into()),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found",
                "Nothing is served under this path.".into()),
            Self::NoSuchUser => (StatusCode::NOT_FOUND, "not_found",
                "No account has this id.".into()),
            Self::NoSuchModel => (StatusCode::NOT_FOUND, "model_not_found",
                "There is no such model here; /models lists them. A completion is answered whatever model it names.".into()),
            Self::NoSuchSession => (StatusCode::NOT_FOUND, "not_found",
                "No session of yours has this id, or it has ended already.".into()),
            Self::NoSuchApiKey => (StatusCode::NOT_FOUND, "not_found",
                "No API key of yours has this id, or it was revoked already.".into()),
            Self::NoSuchConversation => (StatusCode::NOT_FOUND, "not_found",
                "No conversation of yours has this id, or it was deleted.".into()),
            Self::NoSuchChat => (StatusCode::NOT_FOUND, "not_found",
                "No chat of yours has this id, or it was deleted.".into()),
            Self::ChatDeleted => (StatusCode::GONE, "chat_deleted",
                "This Idempotency-Key made a chat that was deleted since. Nothing was charged; choose a new key.".into()),
            Self::MethodNotAllowed { allow } => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed",
                format!("This path takes {allow}.").into()),
            Self::UsernameTaken => (StatusCode::CONFLICT, "username_taken",
                "Another account has this name. Choose another one.".into()),
            Self::EmailTaken => (StatusCode::CONFLICT, "email_taken",
                "Another account has this e-mail address.".into()),
            Self::NothingToVerify => (StatusCode::CONFLICT, "nothing_to_verify",
                "This account has no e-mail address that waits to be verified.".into()),
            Self::TooManyApiKeys { most } => (StatusCode::CONFLICT, "too_many_api_keys",
                format!("An account has at most {most} API keys. Revoke one that nothing uses any more.").into()),
            Self::OwnStanding => (StatusCode::CONFLICT, "own_standing",
                "Administrators neither deactivate nor demote themselves. Another one can.".into()),
            Self::LastAdministrator => (StatusCode::CONFLICT, "last_administrator",
                "This is the last administrator, without whom nobody could manage users. Nothing was changed.".into()),
            Self::BalanceTooLow { balance } => (StatusCode::CONFLICT, "balance_too_low",
                format!("The balance is {balance} tokens, which is less than is to be taken. Nothing was changed.").into()),
            Self::GrantTooLarge => (StatusCode::CONFLICT, "grant_too_large",
                format!("An account is granted at most {} tokens in all. Nothing was changed.", Tokens::MAX).into()),
            Self::KeyRunning { .. } => (StatusCode::CONFLICT, "idempotency_key_running",
                "This request was sent before and is still running. Send it again in a moment, as it was.".into()),
            Self::KeyReused => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused",
                "This Idempotency-Key was used for another request. Nothing was done; choose a new key.".into()),
            Self::BodyTooLarge { limit } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large",
                format!("The body may have at most {limit} bytes.").into()),
            Self::HeaderTooLarge { limit } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header_too_large",
                format!("A header may have at most {limit} bytes.").into()),
            Self::UnsupportedMediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
                "A body must be JSON and declared as such. Send the header `Content-Type: application/json`; with curl, add -H 'Content-Type: application/json'.".into()),
            Self::TooManyChats(_) => (StatusCode::TOO_MANY_REQUESTS, "too_many_chats",
                "Too many chats of this account are waiting for an answer. Nothing was charged; try again when one is done.".into()),
            Self::TooManyChatsThisMinute(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_chats_this_minute",
                format!("An account may begin {} chats a minute. Nothing was charged; try again {}.", limit.most, limit.when()).into()),
            Self::TooManyRefunds(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_refunds",
                format!("An account is given back at most {} failed chats a minute. Nothing was charged; try again {}.", limit.most, limit.when()).into()),
            Self::TooManyAttempts(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts",
                format!("Too many log-ins have failed. Try again {}.", limit.when()).into()),
            Self::TooManyRegistrations(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_registrations",
                format!("Too many accounts were opened from your address. Try again {}.", limit.when()).into()),
            Self::TooManyMails(limit) => (StatusCode::TOO_MANY_REQUESTS, "too_many_mails",
                format!("A mail is on its way already. Nothing was changed; try again {}.", limit.when()).into()),
            Self::Busy(_) => (StatusCode::TOO_MANY_REQUESTS, "busy",
                "Too many people are logging in right now. Try again in a moment.".into()),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error",
                "Something went wrong here. It was logged with the request_id.".into()),
            Self::AiFailed => (StatusCode::BAD_GATEWAY, "ai_failed",
                "The AI did not answer. Nothing was charged; try again.".into()),
            Self::AiOverloaded => (StatusCode::SERVICE_UNAVAILABLE, "ai_overloaded",
                "The AI has too much to do right now. Nothing was charged; try again in a moment.".into()),
            Self::AiTimedOut => (StatusCode::GATEWAY_TIMEOUT, "ai_timed_out",
                "The AI did not answer in time. Nothing was charged; try again, or ask for less.".into()),
            Self::AiFailedTokensHeld => (StatusCode::BAD_GATEWAY, "ai_failed",
                "The AI did not answer. The tokens held for this chat come back by themselves within minutes.".into()),
            Self::NotCharged => (StatusCode::SERVICE_UNAVAILABLE, "not_charged",
                "The answer came too late to be stored. Nothing was charged; try again.".into()),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable",
                "The store did not confirm in time, so this may have happened or not. Send it again with the same Idempotency-Key, or look at what you have first.".into()),
        }
    }

    /// Seconds after which trying again makes sense, where it does.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::NotCharged => Some(1),
            Self::AiOverloaded => Some(5),
            Self::KeyRunning { seconds } => Some(*seconds),
            Self::Unavailable(_) => Some(5),
            _ => self.limit().map(|limit| u32::try_from(limit.reset).unwrap_or(u32::MAX)),
        }
    }

    /// The limit that was reached, where one was.
    pub fn limit(&self) -> Option<&Limit> {
        match self {
            Self::TooManyChats(limit)
            | Self::TooManyChatsThisMinute(limit)
            | Self::TooManyRefunds(limit)
            | Self::TooManyAttempts(limit)
            | Self::TooManyRegistrations(limit)
            | Self::TooManyMails(limit)
            | Self::Busy(limit) => Some(limit),
            _ => None,
        }
    }

    /// Writes the cause to the log, where there is one.
    pub fn log(&self) {
        if let Some(cause) = self.cause() {
            tracing::error!(code = self.code(), cause, "request failed");
        }
    }

    /// What only the log may know.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Internal(cause) | Self::Unavailable(cause) => Some(cause),
            _ => None,
        }
    }
}
