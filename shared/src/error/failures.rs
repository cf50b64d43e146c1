//! The table of failures.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

use super::sentences::{
    key_limit, no_such_model, prompt_too_long, texts_too_long, too_few, too_many_refunds,
};
use super::{ExampleSettings, FieldErrors, NextAllowance, REQUIRED, TokenFault, TooLong};
use crate::Credits;
use crate::clock::Day;
use crate::config::HEADER_LIMIT;
use crate::values::api_key::{API_KEYS, LIMITED_KEYS};
use crate::values::limit::MINUTE;
use crate::values::{
    FOLDERS, GUESSES_AN_HOUR, KeyLimit, Limit, LimitPeriod, MessagePrices, SHARED_BYTES,
    SHARED_MESSAGES, SHARES,
};

/// Returns an optional column of the table.
macro_rules! column {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

/// Defines [`Error`] and [`Failure`] from a table with a row for each failure:
///
/// - its description, which docs/use/failures.md shows to client developers, and its name,
/// - its details, if any: `(name: Type)`, `{ name: Type }`, or `[name: Type]` for the limit that
///   the request exceeded, which the reply's headers show,
/// - its status, and its machine-readable code,
/// - its sentence for people, which can use the details,
/// - `example`: the details for the example in the OpenAPI document, if the failure has details,
/// - `retry`: the seconds to wait before a retry, if a retry helps and the row doesn't contain a
///   limit,
/// - `logs`: the cause, which only the log contains.
macro_rules! failures {
    (
        examples from $settings:ident;
        $(
            $(#[doc = $doc:literal])*
            $failure:ident
                $(($detail:ident: $type:ty))?
                $([$limit:ident: $limit_type:ty])?
                $({ $($(#[$field_doc:meta])* $field:ident: $field_type:ty),+ $(,)? })?:
                $status:tt $code:tt,
                $sentence:expr
                $(, example $example:tt)?
                $(, retry $retry:expr)?
                $(, logs $cause:expr)?;
        )+
    ) => {
        /// A failure, with all details that the client gets.
        #[derive(Clone, Debug, PartialEq, Eq, EnumDiscriminants)]
        #[strum_discriminants(
            name(Failure),
            doc = "Which [`Error`] a request can end with. Endpoints list theirs, and the OpenAPI document has them.",
            derive(Deserialize, IntoStaticStr, Serialize, VariantArray)
        )]
        pub enum Error {
            $(
                $(#[doc = $doc])*
                #[doc = concat!("\n\nThe status is ", $status, ", and the code is `", $code, "`.")]
                $failure
                    $(($type))?
                    $(($limit_type))?
                    $({ $($(#[$field_doc])* $field: $field_type),+ })?,
            )+
        }

        impl Failure {
            /// Returns the HTTP status and the code.
            pub(super) fn status_and_code(self) -> (u16, &'static str) {
                match self {
                    $(Self::$failure => ($status, $code),)+
                }
            }

            /// Returns the description.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$failure => concat!($($doc),*).trim_start(),)+
                }
            }

            /// Returns an example of the failure, with the limits from these settings.
            pub fn example(self, $settings: &ExampleSettings<'_>) -> Error {
                match self {
                    $(Self::$failure => Error::$failure $($example)?,)+
                }
            }
        }

        // A row's details are bound for all columns, although only some columns use them.
        #[allow(unused_variables)]
        impl Error {
            /// Returns the sentence for people.
            pub(super) fn sentence(&self) -> Cow<'static, str> {
                match self {
                    $(
                        Self::$failure $(($detail))? $(($limit))? $({ $($field),+ })? => {
                            Cow::from($sentence)
                        }
                    )+
                }
            }

            /// Returns the limit that the request exceeded, or `None` for all other failures.
            pub fn limit(&self) -> Option<&Limit> {
                match self {
                    $(
                        Self::$failure $(($detail))? $(($limit))? $({ $($field),+ })? => {
                            column!($($limit)?)
                        }
                    )+
                }
            }

            /// Returns the seconds in the `retry` column.
            pub(super) fn retry(&self) -> Option<u32> {
                match self {
                    $(
                        Self::$failure $(($detail))? $(($limit))? $({ $($field),+ })? => {
                            column!($($retry)?)
                        }
                    )+
                }
            }

            /// Returns the cause, which is only for the log.
            pub fn cause(&self) -> Option<&str> {
                match self {
                    $(
                        Self::$failure $(($detail))? $(($limit))? $({ $($field),+ })? => {
                            column!($($cause)?)
                        }
                    )+
                }
            }
        }
    };
}

failures! {
    examples from settings;

    /// The request can't be parsed. The sentence says why.
    Malformed(why: String): 400 "malformed_request",
        why.clone(), example ("The body is not a JSON object.".into());
    /// At least one field is invalid.
    Invalid(fields: FieldErrors): 400 "invalid_fields",
        fields.summary(), example (FieldErrors::one("password", REQUIRED));
    /// The prompt is longer than the settings or the model allow.
    PromptTooLong(sizes: Option<TooLong>): 400 "context_length_exceeded",
        prompt_too_long(*sizes), example (None);
    /// The texts for embeddings are longer than the settings or the model allow.
    TextTooLong(sizes: Option<TooLong>): 400 "context_length_exceeded",
        texts_too_long(*sizes), example (None);
    /// The request contains `thread`, but this API doesn't store threads.
    ThreadUnsupported: 400 "thread_unsupported_request",
        "thread: This API stores no threads. Send the whole conversation, without `thread`.";
    /// The provider's filter removed the whole answer.
    Filtered: 422 "content_filtered",
        "The AI's content filter withheld the whole answer. Nothing was charged; change the message.";
    /// This API didn't issue the `cursor` for this user and this list.
    InvalidCursor: 400 "invalid_cursor",
        "This cursor is invalid for this list. Follow the Link header, or start without a cursor.";
    /// The link token is unknown, used or expired.
    InvalidLink: 400 "invalid_link",
        "This link is invalid, has already been used or has expired. Request a new one.";
    /// The link verifies an account's address for the first time, and the request has neither a new
    /// password nor an access token for that account.
    PasswordRequired: 400 "password_required",
        "Choose a new password for the account of this address, and send it as `password` with the \
         token. Or send the token while you are logged in to that account. The link is still \
         valid.";
    /// The refresh token's session has ended, or a later refresh token has replaced it. Only the
    /// endpoint that checks refresh tokens returns this failure.
    TokenBlacklisted: 400 "token_blacklisted",
        "The session of this token has ended, or a later token has replaced it. Log in again, or use the later one.";
    /// The body wasn't signed with a webhook secret in the last few minutes.
    InvalidSignature: 400 "invalid_signature",
        "The header Stripe-Signature doesn't have a valid signature of this body from the last five minutes.";
    /// No active account has this username and password. Unknown and deactivated users get the same
    /// failure.
    InvalidCredentials: 401 "invalid_credentials", "Incorrect username or password.";
    /// The request has no credential.
    NotAuthenticated: 401 "not_authenticated", "Send a token: `Authorization: Bearer <token>`.";
    /// The token or API key is malformed, expired, revoked, of a different type or signed with a
    /// different key. Some paths send `token_not_valid` instead.
    InvalidToken(fault: TokenFault): 401 "invalid_token",
        "This token is invalid or has expired. Log in again.", example (TokenFault::Unknown);
    /// The headers `x-api-key` and `Authorization` contain different credentials, or `x-api-key` is
    /// repeated with another one.
    TwoCredentials: 401 "two_credentials",
        "The request contains different credentials, in `x-api-key` and `Authorization` or twice in `x-api-key`. Send only one of them.";
    /// The API key has expired. Only a caller with the whole key gets this failure.
    ApiKeyExpired: 401 "api_key_expired", "This API key has expired. Create another one.";
    /// The balance is less than the price of the message.
    InsufficientTokens {
        /// The price of the chat.
        cost: Credits,
        /// The balance.
        balance: Credits,
        /// The credits that are held for the account's other chats.
        held: Credits,
        /// The message's prices, if they depend on the message and its answer. `cost` is then
        /// enough for a short answer.
        by_usage: Option<MessagePrices>,
        /// The account's next allowance. `None` if the account doesn't get an allowance.
        next: Option<NextAllowance>,
        /// The operator's advice on getting more credits. `None` if the operator hasn't set any.
        advice: Option<String>,
    }: 402 "insufficient_tokens",
        too_few(*cost, *balance, *held, by_usage.is_some(), *next, advice.as_deref()), example {
            cost: settings.config.chat_price,
            balance: Credits::ZERO,
            held: settings.config.chat_price,
            by_usage: None,
            next: None,
            advice: settings.config.advice(),
        };
    /// The message can cost more than is left of the API key's limit.
    KeyLimitReached {
        /// The price of the chat. If the model is charged by usage, the least that an answer can
        /// cost.
        cost: Credits,
        /// The limit.
        limit: KeyLimit,
        /// The credits that the key has spent or holds in this period.
        spent: Credits,
        /// The day on which a monthly limit starts again. `None` if the limit is for the key's
        /// whole life.
        resets: Option<Day>,
    }: 402 "key_limit_reached",
        key_limit(*cost, *limit, *spent, *resets), example {
            cost: settings.config.chat_price,
            limit: KeyLimit { tokens: settings.config.chat_price, per: LimitPeriod::Total },
            spent: settings.config.chat_price,
            resets: None,
        };
    /// `insufficient_tokens` or `key_limit_reached` on `/v1`, if the operator has set
    /// `EMPTY_BALANCE_STATUS=429`.
    OutOfQuota(empty: Box<Error>): 429 "insufficient_tokens",
        empty.sentence(), example (Failure::InsufficientTokens.example(settings).into());
    /// The access token is valid, but the current password in the request is wrong.
    WrongPassword: 403 "wrong_password",
        "This is not the account's current password. Nothing was changed.";
    /// The access token is valid, but its account doesn't belong to an administrator.
    Forbidden: 403 "forbidden", "Only administrators may do this.";
    /// The operator doesn't let administrators read or search messages.
    ChatsClosed: 403 "chats_closed",
        "The operator of this service hasn't allowed administrators to do this with messages. The setting ADMIN_CHATS allows it.";
    /// No endpoint has this path.
    NotFound: 404 "not_found", "No endpoint has this path.";
    /// OpenAI or Anthropic has an endpoint at this path, and this server doesn't. The string names
    /// what the endpoint offers.
    NotOffered(what: &'static str): 404 "not_offered",
        format!("This server doesn't offer {what}."), example ("images");
    /// The input refers to an item that isn't stored, or that the caller may not read. The string is
    /// the item's id.
    NoSuchItem(id: String): 404 "item_not_found",
        format!("Item with id '{id}' not found. Send the item itself: clients do that with `store: false`."),
        example ("msg_01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36".into());
    /// No account has this id.
    NoSuchUser: 404 "not_found", "No account has this id.";
    /// The price list has no model with this name, or the API key may not use it.
    // The name is `None` if the request doesn't contain one and the key's models are no longer in
    // the list.
    NoSuchModel(name: Option<String>): 404 "model_not_found",
        no_such_model(name.as_deref()), example (Some("gpt-4o".into()));
    /// The operator offers no model for embeddings.
    NoEmbeddings: 404 "model_not_found",
        "This server has no model for embeddings. Its operator can add one to the price list, with \
         `\"kind\": \"embedding\"` (docs/operate/prices.md). Nothing was charged.";
    /// The price list never had this version.
    NoSuchPriceList: 404 "no_such_price_list", "The price list never had this version.";
    /// No voucher has this code.
    NoSuchVoucher: 404 "no_such_voucher",
        "No voucher has this code. Check it, or ask the person who gave it to you.";
    /// No voucher batch has this id.
    NoSuchVouchers: 404 "not_found", "No vouchers have this id.";
    /// No pack on sale has this id.
    NoSuchPack: 404 "no_such_pack",
        "No pack on sale has this id; GET /api/user/purchases lists them.";
    /// No shared chat has this link or id: it was ended, or never existed.
    NoSuchShare: 404 "no_such_share",
        "This chat isn't shared: its author or an administrator has ended it, or the link is wrong.";
    /// No report about this shared chat has this id, or it was dismissed.
    NoSuchReport: 404 "not_found", "No report about this chat has this id, or it was dismissed.";
    /// The operator hasn't switched on shared chats.
    SharingOff: 404 "sharing_off",
        "The operator of this service hasn't switched on shared chats.";
    /// The operator sells nothing.
    NothingSold: 404 "nothing_sold", "The operator of this service sells no tokens here.";
    /// The caller has no session with this id, or it has ended.
    NoSuchSession: 404 "not_found", "You have no session with this id, or it has ended.";
    /// The account has no API key with this id.
    NoSuchApiKey: 404 "not_found", "No API key has this id, or it was revoked.";
    /// The caller has no conversation with this id, or it was deleted. Nothing was charged.
    NoSuchConversation: 404 "not_found",
        "You have no conversation with this id, or it was deleted.";
    /// The caller has no folder with this id, or it was deleted. Nothing was charged.
    NoSuchFolder: 404 "not_found", "You have no folder with this id, or it was deleted.";
    /// The caller has no message with this id, or it was deleted.
    NoSuchChat: 404 "not_found", "You have no message with this id, or it was deleted.";
    /// The caller has no file with this id, or it was deleted.
    NoSuchFile: 404 "not_found", "You have no file with this id, or it was deleted.";
    /// The caller has no message with this `Idempotency-Key` that is being answered, or was
    /// answered in the last day.
    NothingToStop: 404 "not_found",
        "You can't stop this: no message with this Idempotency-Key is being answered, and none was in the last day.";
    /// The path exists, but not with this method.
    MethodNotAllowed {
        /// The allowed methods, as the `Allow` header lists them.
        allow: String,
    }: 405 "method_not_allowed",
        format!("This path allows {allow}."), example { allow: "GET, HEAD, OPTIONS".into() };
    /// Another account has this username. At `/api/register/` the status is 400.
    UsernameTaken: 409 "username_taken", "Another account has this username. Choose another one.";
    /// Another account has this e-mail address. At `/api/register/` the status is 400.
    EmailTaken: 409 "email_taken", "Another account has this e-mail address. Use another one.";
    /// The account has no unverified e-mail address.
    NothingToVerify: 409 "nothing_to_verify", "This account has no unverified e-mail address.";
    /// No e-mail can be sent to the account.
    NoAddress: 409 "no_address",
        "This account has no e-mail address, or is deactivated. No e-mail was sent.";
    /// The account has the maximum number of folders.
    TooManyFolders {
        /// The maximum.
        most: usize,
    }: 409 "too_many_folders",
        format!("An account has at most {most} folders. Delete one that is no longer used."),
        example { most: FOLDERS };
    /// The account has the maximum number of API keys.
    TooManyApiKeys {
        /// The maximum.
        most: u32,
    }: 409 "too_many_api_keys",
        format!("An account has at most {most} API keys. Revoke one that is no longer used."),
        example { most: API_KEYS };
    /// The account has the maximum number of shared chats.
    TooManyShares {
        /// The maximum.
        most: u32,
    }: 409 "too_many_shares",
        format!("An account has at most {most} shared chats. End one that is no longer needed."),
        example { most: SHARES };
    /// The chat is too long to be shared.
    ShareTooLong {
        /// The maximum number of messages.
        messages: usize,
        /// The maximum size of all messages and answers, in bytes.
        bytes: usize,
    }: 409 "share_too_long",
        format!("A shared chat has at most {messages} messages and {bytes} bytes. Share it up to an earlier message."),
        example { messages: SHARED_MESSAGES, bytes: SHARED_BYTES };
    /// The account has the maximum number of API keys with a limit.
    TooManyLimitedKeys {
        /// The maximum.
        most: u32,
    }: 409 "too_many_limited_keys",
        format!("An account has at most {most} API keys with a limit. Revoke one that is no longer used."),
        example { most: LIMITED_KEYS };
    /// The API key has no limit whose number of tokens could change.
    NoKeyLimit: 409 "no_key_limit",
        "This API key has no limit, and can't get one, because what it has spent isn't counted. \
         Create a key with a limit. Nothing was changed.";
    /// The limit of the API key has a different period.
    OtherLimitPeriod: 409 "other_limit_period",
        "The period of this API key's limit can't be changed, only its number of tokens. Create another key. Nothing was changed.";
    /// Administrators can't deactivate or demote themselves.
    OwnStanding: 409 "own_standing",
        "Administrators can't deactivate or demote themselves. Another administrator can.";
    /// Administrators manage their own accounts with the same endpoints as other users.
    OwnAccount: 409 "own_account",
        "This is your own account. Use the endpoints that every user has, or ask another administrator. Nothing was changed.";
    /// Administrators can't adjust their own balance.
    OwnBalance: 409 "own_balance",
        "Administrators can't adjust their own balance. Ask another administrator. Nothing was changed.";
    /// The price of this answer has already been returned.
    AlreadyRefunded: 409 "already_refunded",
        "The price of this answer has already been returned, as the user's statement shows. Nothing was changed.";
    /// The voucher has already been used the maximum number of times.
    VoucherUsed: 409 "voucher_used", "This voucher has been used already. Nothing was changed.";
    /// An earlier request with the same `Idempotency-Key` has created the vouchers. Only its reply
    /// contained their codes.
    CodesShown: 409 "codes_shown",
        "An earlier request with this Idempotency-Key has created these vouchers, and only its \
         reply had the codes. If you don't have them, void these vouchers and create others with a \
         new Idempotency-Key.";
    /// This account is the last administrator.
    LastAdministrator: 409 "last_administrator",
        "This account is the last administrator. Make another account an administrator first. Nothing was changed.";
    /// The balance is less than the amount to take.
    BalanceTooLow {
        /// The balance.
        balance: Credits,
    }: 409 "balance_too_low",
        format!("The balance is {balance} tokens, which is less than the amount to take. Nothing was changed."),
        example { balance: settings.config.chat_price };
    /// The message would cost more than the request allows in `max_cost`. Nothing was charged.
    CostsMore {
        /// An amount that is enough for a short answer.
        cost: Credits,
        /// The request's `max_cost`.
        most: Credits,
        /// The message's prices, if they depend on the message and its answer.
        by_usage: Option<MessagePrices>,
    }: 409 "costs_more",
        format!(
            "This message may cost up to {cost} tokens, and max_cost allows {most}. Raise \
             max_cost, shorten the message, or choose another model. Nothing was charged."
        ),
        example { cost: settings.config.chat_price, most: Credits::ZERO, by_usage: None };
    /// The price list has changed since the administrator read it.
    PriceListChanged: 409 "price_list_changed",
        "The price list has changed since you read it. Read it again. Nothing was changed.";
    /// The packs have changed since the administrator read them.
    PacksChanged: 409 "packs_changed",
        "The packs have changed since you read them. Read them again. Nothing was changed.";
    /// The brand has changed since the administrator read it.
    BrandChanged: 409 "brand_changed",
        "The brand has changed since you read it. Read it again. Nothing was changed.";
    /// The account would have been granted more than a trillion tokens in total.
    GrantTooLarge: 409 "grant_too_large",
        format!("An account can be granted at most {} tokens in total. Nothing was changed.", Credits::MAX);
    /// A request with the same `Idempotency-Key` is running, or has just failed.
    KeyRunning {
        /// The seconds to wait before a retry.
        seconds: u32,
    }: 409 "idempotency_key_running",
        "A request with this Idempotency-Key is still running. Retry it unchanged in a moment.",
        example { seconds: 5 }, retry *seconds;
    /// The account's chats have reached the largest size that the store allows. Nothing was charged.
    // Not a 409, 503 or 507: clients would send the message again, and the AI would answer it again.
    ChatsFull: 403 "chats_full",
        "Your chats have reached the largest size that can be stored. Delete old chats, and then \
         send the message again. Nothing was charged.";
    /// The `Idempotency-Key` was used for a different request.
    KeyReused: 422 "idempotency_key_reused",
        "This Idempotency-Key was used for another request. Nothing was done; use a new Idempotency-Key.";
    /// The message with this `Idempotency-Key` was deleted.
    ChatDeleted: 410 "chat_deleted",
        "The message that was sent under this Idempotency-Key was deleted. Nothing was charged; use a new Idempotency-Key.";
    /// The vectors of the request with this `Idempotency-Key` aren't stored, and were already
    /// computed again the maximum number of times.
    RepeatedTooOften: 410 "repeated_too_often",
        "The embeddings of this request were already paid for and aren't stored. They were \
         computed again twice, which is the limit. Nothing was charged; use a new Idempotency-Key.";
    /// The user stopped the message before its streamed answer began. Nothing was charged.
    // Not a 409: clients retry a 409 automatically, and would then send the message again after
    // their user has stopped it.
    Stopped: 410 "stopped", "The message was stopped before its answer began. Nothing was charged.";
    /// The voucher has expired or was voided.
    VoucherEnded: 410 "voucher_ended",
        "This voucher has expired or is no longer valid. Nothing was changed.";
    /// The body is too large.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    }: 413 "body_too_large",
        format!("The body may have at most {limit} bytes."),
        example { limit: settings.edge.body_limit };
    /// A header is too large.
    HeaderTooLarge {
        /// The limit in bytes.
        limit: usize,
    }: 431 "header_too_large",
        format!("A header may have at most {limit} bytes."), example { limit: HEADER_LIMIT };
    /// The body's content type is neither JSON nor, where forms are accepted, that of a form.
    UnsupportedMediaType: 415 "unsupported_media_type",
        "A body must be JSON and declared as such. Send the header \
         `Content-Type: application/json`; with curl, add -H 'Content-Type: application/json'.";
    /// The account already has the maximum number of messages that may wait for the AI.
    TooManyChats[limit: Limit]: 429 "too_many_chats",
        "Too many messages of this account are waiting for an answer. Nothing was charged; try again when one is answered.",
        example (Limit::at_once("parallel-chats", settings.config.parallel_chats));
    /// The account has sent the maximum number of messages in this minute.
    TooManyChatsThisMinute[limit: Limit]: 429 "too_many_chats_this_minute",
        format!("An account may send {} messages a minute. Nothing was charged; try again {}.", limit.most, limit.retry_hint()),
        example (Limit::used_up("chats", settings.config.chats_per_minute, MINUTE, 31));
    /// The account got the maximum number of refunds in this minute or on this day.
    TooManyRefunds[limit: Limit]: 429 "too_many_refunds",
        too_many_refunds(limit),
        example (Limit::used_up("refunds", settings.config.refunds_per_minute, MINUTE, 31));
    /// Too many log-ins with this username or from this IP address have failed. The failure doesn't
    /// depend on whether the account exists or the password is right.
    TooManyAttempts[limit: Limit]: 429 "too_many_attempts",
        format!("Too many log-ins have failed. Try again {}.", limit.retry_hint()),
        example (Limit::log_ins(settings.accounts.login_attempts, 3000));
    /// Too many wrong current passwords were sent in this session.
    TooManyConfirmations[limit: Limit]: 429 "too_many_attempts",
        format!(
            "Too many wrong passwords were sent in this session. Try again {}, or log out and log \
             in again: a new session has its own count. If it wasn't you, end the other sessions \
             first, which needs no password, or reset the password by e-mail.",
            limit.retry_hint()
        ),
        example (Limit::log_ins(settings.accounts.login_attempts, 3000));
    /// The maximum number of accounts were created from this IP address in this hour.
    TooManyRegistrations[limit: Limit]: 429 "too_many_registrations",
        format!("Too many accounts were created from your IP address. Try again {}.", limit.retry_hint()),
        example (Limit::registrations(settings.accounts.registrations_per_address, 1800));
    /// An e-mail was requested less than a minute ago, or the maximum number of verification
    /// e-mails was sent to this address in this hour.
    TooManyMails[limit: Limit]: 429 "too_many_mails",
        format!("Too many e-mails were requested. Nothing was changed; try again {}.", limit.retry_hint()),
        example (Limit::mail_pause(42));
    /// This account or this IP address has sent too many wrong voucher codes in this hour.
    TooManyGuesses[limit: Limit]: 429 "too_many_guesses",
        format!("Too many voucher codes were wrong. Try again {}.", limit.retry_hint()),
        example (Limit::voucher_codes(GUESSES_AN_HOUR, 1800));
    /// The account has shared the maximum number of chats in this hour.
    TooManySharesNow[limit: Limit]: 429 "too_many_shares_now",
        format!("An account can share {} chats an hour. Nothing was shared; try again {}.", limit.most, limit.retry_hint()),
        example (Limit::shares(1800));
    /// This IP address has sent the maximum number of reports in this hour.
    TooManyReports[limit: Limit]: 429 "too_many_reports",
        format!("Too many reports were sent from this network. Try again {}.", limit.retry_hint()),
        example (Limit::reports(1800));
    /// The account has ordered the maximum number of packs in this hour.
    TooManyOrders[limit: Limit]: 429 "too_many_orders",
        format!("An account can order {} packs an hour. Nothing was ordered; try again {}.", limit.most, limit.retry_hint()),
        example (Limit::orders(1800));
    /// The maximum number of titles were written for the account on this day.
    TooManyTitles[limit: Limit]: 429 "too_many_titles",
        format!(
            "A model writes at most {} titles a day for one account. The chat keeps its title; try \
             again {}.",
            limit.most, limit.retry_hint()
        ),
        example (Limit::titles(50, 1800));
    /// Too many passwords are being hashed at the same time.
    Busy[limit: Limit]: 429 "busy",
        "Too many log-ins are in progress. Try again in a moment.", example (Limit::passwords());
    /// An error that the client can't fix. The cause of the error is logged and never sent.
    Internal(cause: String): 500 "internal_error",
        "An internal error occurred. It was logged with the request_id.", example (String::new()),
        logs cause;
    /// The AI failed. Nothing was charged.
    AiFailed: 502 "ai_failed", "The AI did not answer. Nothing was charged; try again.";
    /// The AI's provider refused the request for an unknown reason, and would refuse it again.
    /// Nothing was charged.
    AiDenied: 502 "ai_failed",
        "The AI did not answer: its provider refuses this request. Nothing was charged.";
    /// The AI is overloaded. Nothing was charged. The reply says when to try again.
    AiOverloaded(seconds: u32): 503 "ai_overloaded",
        "The AI is overloaded. Nothing was charged; try again later.",
        example (5), retry *seconds;
    /// The AI was too slow. Nothing was charged.
    AiTimedOut: 504 "ai_timed_out",
        "The AI did not answer in time. Nothing was charged; try again, or ask for a shorter answer.";
    /// The AI failed, and the tokens are still held. They are returned within minutes.
    AiFailedTokensHeld: 502 "ai_failed",
        "The AI did not answer. The tokens held for this message are returned within minutes.";
    /// The lease ended before the answer could be stored. Nothing was charged.
    NotCharged: 503 "not_charged",
        "The answer came too late to be stored. Nothing was charged; try again.", retry 1;
    /// The payment provider refused the request or didn't answer. Nothing was paid.
    PaymentsUnavailable(cause: String): 503 "payments_unavailable",
        "The payment page can't be opened now. Nothing was paid; try again in a moment.",
        example (String::new()), retry 5, logs cause;
    /// An event is about a purchase that isn't stored. The payment provider sends it again.
    UnknownOrder: 503 "unknown_order", "No purchase has this id. Send the event again later.", retry 5;
    /// The store didn't answer. The request may or may not have taken effect.
    Unavailable(cause: String): 503 "unavailable",
        "The database did not confirm in time, so this request may or may not have taken effect. \
         Retry it with the same Idempotency-Key, or check first whether it took effect.",
        example (String::new()), retry 5, logs cause;
}
