//! The parts of replies that several endpoints share: accounts, sessions, API keys, conversations,
//! messages and ledger entries.

mod client_names;
mod listed;
mod purchase;
mod share;

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Day;
use crate::store::FreeWork;
use crate::values::api_key::{KeyName, Retries};
use crate::values::{
    self, Account, Allowances, Entry, Fare, FileContent, FileInfo, FinishReason, FolderName,
    GivenName, Instructions, KeyLimit, LimitPeriod, Restrictions, Role, StoredFare, Usage,
    Username, chat,
};
use crate::{Credits, clock, store};

pub use self::client_names::{Balance, BalanceOfCaller, PaidChat, SentChat, UserOfSession};
pub use self::listed::ListedUser;
pub use self::purchase::Purchase;
pub use self::share::{ExportedShare, OwnShare, SharedChat};

/// A confirmation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// A sentence for human readers.
    pub message: &'static str,
}

/// An empty object.
#[derive(Debug, Serialize, ToSchema)]
pub struct Nothing {}

/// An account as its owner sees it.
#[derive(Serialize, ToSchema)]
pub struct User<'a> {
    /// The account's id, which messages, sessions and the statement refer to. If the name is reused
    /// later, the new account has a different id.
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    id: &'a str,
    /// The username as its owner typed it.
    #[schema(value_type = Username)]
    username: &'a str,
    /// The e-mail address as its owner typed it.
    #[schema(required, examples("ann@example.com"))]
    email: Option<&'a str>,
    /// True if the owner has verified `email`.
    email_verified: bool,
    /// A new address that replaces `email` as soon as the owner verifies it. Null unless another
    /// account has claimed the new address without verifying it.
    #[schema(required)]
    pending_email: Option<&'a str>,
    /// The first name. Empty if the account has no first name.
    #[schema(value_type = GivenName)]
    first_name: &'a str,
    /// The last name. Empty if the account has no last name.
    #[schema(value_type = GivenName)]
    last_name: &'a str,
    /// `user` or `admin`. Later releases may add roles; treat unknown roles as `user`.
    #[schema(examples("user"))]
    role: &'a str,
    /// True if the role is `admin`.
    is_staff: bool,
    /// The time at which the account was created.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.921Z"))]
    date_joined: String,
}

impl<'a> User<'a> {
    /// Creates the view of this account.
    pub fn of(account: &'a Account) -> Self {
        Self {
            id: &account.id,
            username: &account.name,
            email: account.email.as_deref(),
            email_verified: account.email_verified,
            pending_email: account.pending_email.as_deref(),
            first_name: account.first_name.as_deref().unwrap_or_default(),
            last_name: account.last_name.as_deref().unwrap_or_default(),
            role: account.role.word(),
            is_staff: account.role == Role::Admin,
            date_joined: clock::rfc3339(account.created),
        }
    }
}

/// A balance adjustment.
#[derive(Serialize, ToSchema)]
struct AdjustmentRow<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    /// The number of tokens that were added. Negative if tokens were taken.
    #[schema(examples(-50))]
    amount: i64,
    /// The reason for the adjustment.
    #[schema(examples("a mistake"))]
    reason: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    timestamp: String,
}

/// An adjustment, and the current balance.
#[derive(Serialize, ToSchema)]
pub struct AdjustedBalance<'a> {
    /// The adjustment.
    #[serde(flatten)]
    entry: AdjustmentRow<'a>,
    /// The current balance.
    #[serde(flatten)]
    balance: Balance,
}

impl<'a> AdjustedBalance<'a> {
    /// Creates the view of this adjustment's ledger entry, with the balance afterwards.
    pub fn of(entry: &'a Entry, balance: Credits) -> Self {
        Self {
            entry: AdjustmentRow {
                id: &entry.entry_id,
                amount: entry.amount,
                reason: &entry.reason,
                timestamp: clock::rfc3339(entry.time),
            },
            balance: Balance::of(balance),
        }
    }
}

/// The current balance, and the tokens that are held.
#[derive(Serialize, ToSchema)]
pub struct CurrentBalance {
    /// The balance.
    #[serde(flatten)]
    balance: Balance,
    /// The tokens that are held for messages whose answers aren't finished. Held tokens aren't part
    /// of the balance. Held tokens are spent when the answer is finished, or return to the balance
    /// within minutes.
    #[schema(examples(0))]
    tokens_held: Credits,
}

impl CurrentBalance {
    /// Creates the view of this account's balance at the time `now`, in seconds since 1970.
    pub fn of(account: &Account, now: u64) -> Self {
        Self { balance: Balance::of(account.balance(now)), tokens_held: account.held(now) }
    }
}

/// An account's balance and allowance, as its owner sees them.
#[derive(Serialize, ToSchema)]
pub struct OwnBalance {
    /// The balance and the held tokens.
    #[serde(flatten)]
    balance: CurrentBalance,
    /// The allowance. Missing if the account doesn't get an allowance.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    allowance: Option<OwnAllowance>,
}

/// An account's allowance: when the account is first used in a period, a lower balance is topped up
/// to this amount.
#[derive(Serialize, ToSchema)]
struct OwnAllowance {
    /// The number of tokens to which a lower balance is topped up.
    #[schema(examples(1000))]
    tokens: Credits,
    /// The period: `day`, `week` (from Monday) or `month`, in UTC.
    #[schema(examples("day"))]
    per: &'static str,
    /// The first day of the next period.
    #[schema(value_type = String, format = "date", examples("2026-11-21"))]
    next: Day,
}

impl OwnBalance {
    /// Creates the view of this account's balance at the time `now`, in seconds since 1970.
    pub fn of(account: &Account, allowances: Allowances, now: u64) -> Self {
        let allowance = allowances.for_role(&account.role).map(|allowance| OwnAllowance {
            tokens: allowance.tokens,
            per: allowance.per.word(),
            next: allowance.next(now).day,
        });
        Self { balance: CurrentBalance::of(account, now), allowance }
    }
}

/// An account as administrators see it.
#[derive(Serialize, ToSchema)]
pub struct UserDetails<'a> {
    /// The fields that the owner sees.
    #[serde(flatten)]
    user: User<'a>,
    /// The balance and the held tokens.
    #[serde(flatten)]
    balance: CurrentBalance,
    /// The fields that only administrators see.
    #[serde(flatten)]
    details: DetailsOfUser<'a>,
}

/// The fields of an account that only administrators see.
#[derive(Serialize, ToSchema)]
struct DetailsOfUser<'a> {
    /// True if the account is active. A deactivated account can't be used.
    active: bool,
    /// All tokens ever granted, including adjustments.
    granted: Credits,
    /// All tokens ever spent.
    spent: Credits,
    /// The tokens that are held for messages that are waiting for an answer.
    reservations: Vec<HeldTokens<'a>>,
    /// Up to 100 of the newest sessions, newest first.
    sessions: Vec<Session<'a>>,
    /// The number of the account's API keys.
    #[schema(examples(1))]
    api_keys: u32,
    /// The AI's unpaid work on this day (UTC).
    free_work: FreeWorkOfDay,
}

/// The AI's unpaid work in one day: the work on messages that failed or were stopped. If `used`
/// reaches `most`, the account can't send messages until midnight (UTC).
#[derive(Serialize, ToSchema)]
struct FreeWorkOfDay {
    /// The estimated price of the work, in tokens.
    #[schema(examples(300))]
    used: Credits,
    /// The limit, which grows with what the user pays.
    #[schema(examples(10000))]
    most: Credits,
    /// The estimated price of the work for API keys with a limit, in tokens. This work is counted
    /// separately.
    #[schema(examples(0))]
    used_by_limited_keys: Credits,
    /// The limit on the work for API keys with a limit, in tokens.
    #[schema(examples(5000))]
    most_for_limited_keys: Credits,
    /// True if the account can't send messages, except with API keys that have a limit.
    locked: bool,
    /// True if the account can't send messages with API keys that have a limit.
    limited_keys_locked: bool,
}

impl FreeWorkOfDay {
    /// Creates the view of the day that contains the time `now`, in seconds since 1970. `least` is
    /// the free work that every account gets.
    fn of(account: &Account, least: Credits, now: u64) -> Self {
        let of = |is_limited| FreeWork::at(now, is_limited).shown(account, least);
        let ([used, most], [used_by_limited_keys, most_for_limited_keys]) = (of(false), of(true));
        Self {
            used,
            most,
            used_by_limited_keys,
            most_for_limited_keys,
            locked: used >= most,
            limited_keys_locked: used_by_limited_keys >= most_for_limited_keys,
        }
    }
}

/// The tokens that are held for a message.
#[derive(Serialize, ToSchema)]
struct HeldTokens<'a> {
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: &'a str,
    /// The number of tokens.
    cost: Credits,
    /// The id of the message.
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    chat_id: &'a str,
    /// The time at which the hold expires.
    #[schema(format = "date-time", examples("2026-11-20T07:19:09.000Z"))]
    expires: String,
    /// True if the hold has expired, so that the tokens can be spent again.
    expired: bool,
}

impl<'a> UserDetails<'a> {
    /// Creates the view of this account and its sessions at the time `now`, in seconds since 1970.
    /// `free_work` is the free work that every account gets per day.
    pub fn of(
        account: &'a Account,
        sessions: &'a [values::Session],
        free_work: Credits,
        now: u64,
    ) -> Self {
        let held = account.reservations.iter().map(|(id, held)| HeldTokens {
            id,
            cost: held.cost,
            chat_id: &held.owner,
            expires: clock::rfc3339(held.expires_at * 1000),
            expired: held.expires_at <= now,
        });
        let details = DetailsOfUser {
            active: account.active,
            granted: account.granted,
            spent: account.spent,
            reservations: held.collect(),
            sessions: sessions.iter().map(Session::of).collect(),
            api_keys: account.api_keys,
            free_work: FreeWorkOfDay::of(account, free_work, now),
        };
        Self { user: User::of(account), balance: CurrentBalance::of(account, now), details }
    }
}

/// A session as administrators see it.
#[derive(Serialize, ToSchema)]
pub struct Session<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6dfc-7191-b0f2-0a2b0c4a3c55"))]
    id: &'a str,
    /// The `User-Agent` header of the log-in.
    #[schema(examples("curl/8.5.0"))]
    device: &'a str,
    #[schema(required, format = "date-time", examples("2026-11-20T07:17:39.000Z"))]
    began: Option<String>,
    /// The time of the last refresh, or of the log-in if the session was never refreshed.
    #[schema(required, format = "date-time", examples("2026-11-20T07:17:39.000Z"))]
    last_used: Option<String>,
    #[schema(format = "date-time", examples("2026-12-20T07:17:39.000Z"))]
    ends: String,
}

impl<'a> Session<'a> {
    /// Creates the view of this session.
    pub fn of(session: &'a values::Session) -> Self {
        let time = |seconds: u64| clock::rfc3339(seconds * 1000);
        Self {
            id: session.id(),
            device: &session.device,
            began: session.began.map(time),
            last_used: session.used.map(time),
            ends: time(session.ends),
        }
    }
}

/// A session as its owner sees it.
#[derive(Serialize, ToSchema)]
pub struct OwnSession<'a> {
    #[serde(flatten)]
    session: Session<'a>,
    /// True if the request belongs to this session.
    current: bool,
}

impl<'a> OwnSession<'a> {
    /// Creates the view of this session. `current` is the id of the caller's session.
    pub fn of(session: &'a values::Session, current: &str) -> Self {
        Self { session: Session::of(session), current: session.id() == current }
    }
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
pub struct ApiKey<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: &'a str,
    /// The name that the owner chose.
    #[schema(value_type = KeyName)]
    name: &'a str,
    /// The last four characters of the key.
    #[schema(min_length = 4, max_length = 4, examples("9xQk"))]
    hint: &'a str,
    /// The time at which the key was created.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.978Z"))]
    created: String,
    /// The last day on which the key is accepted, in UTC. Null if the key doesn't expire.
    #[schema(required, value_type = Option<String>, format = "date", examples("2027-03-31"))]
    expires: Option<Day>,
    /// The names of the models that the key may use. Null if it may use all.
    #[schema(required, examples("echo"))]
    models: Option<Vec<String>>,
    /// The limit on the tokens that the key may spend. Null if it may spend the whole balance.
    #[schema(required)]
    limit: Option<SpendingLimit>,
    /// `equal_bodies` if a request whose body equals that of a request in the last minute counts as
    /// its retry, and isn't charged again. Null if not.
    #[schema(required, examples("equal_bodies"))]
    retries: Option<&'static str>,
    /// The last day on which a message was sent with the key, in UTC, whether it was answered or
    /// not. Null if the key was never used.
    #[schema(required, value_type = Option<String>, format = "date", examples("2026-11-20"))]
    last_used: Option<Day>,
}

/// An API key's limit, and how much the key has spent.
#[derive(Serialize, ToSchema)]
pub struct SpendingLimit {
    /// The number of tokens that the key may spend in a period.
    tokens: Credits,
    per: LimitPeriod,
    /// The tokens that the key has spent in this period, including the tokens held for its
    /// unfinished messages.
    spent: Credits,
    /// The day on which a monthly limit starts again, in UTC. Null if the limit is for the key's
    /// whole life.
    #[schema(required, value_type = Option<String>, format = "date", examples("2026-12-01"))]
    resets: Option<Day>,
}

impl<'a> ApiKey<'a> {
    /// Creates the view of this API key, at this time in milliseconds since 1970. `account` is the
    /// owner's account. For a key that was just created, `account` is `None`, because the key
    /// hasn't spent anything yet.
    pub fn of(key: &'a values::StoredApiKey, account: Option<&Account>, now: u64) -> Self {
        let Restrictions { expires, models, limit, .. } = key.restrictions();
        let limit = limit.map(|KeyLimit { tokens, per }| SpendingLimit {
            tokens,
            per,
            spent: account
                .map(|account| key.spent(account, &clock::month(now)))
                .unwrap_or_default(),
            resets: (per == LimitPeriod::Month).then(|| Day::from_millis(now).next_month()),
        });
        Self {
            expires: expires.map(|expires| Day::from_millis(expires * 1000).before(1)),
            models,
            limit,
            retries: key.retries().map(Retries::word),
            last_used: key.used.map(Day::from_number),
            id: key.id(),
            name: &key.label,
            hint: &key.hint,
            created: clock::rfc3339(key.created),
        }
    }
}

/// A conversation.
#[derive(Serialize, ToSchema)]
pub struct Conversation<'a> {
    /// The id of the conversation's first message.
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: &'a str,
    /// The title. Initially the title is the beginning of the first message.
    #[schema(examples("Hello!"))]
    title: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    created: String,
    /// The time at which the last message was sent.
    #[schema(format = "date-time", examples("2026-11-20T07:17:40.102Z"))]
    last_used: String,
    /// True if the conversation is pinned. Lists show pinned conversations first.
    pinned: bool,
    /// The instructions that the AI gets with each message in the conversation.
    #[schema(value_type = Instructions)]
    instructions: &'a str,
    /// The tokens that the conversation's messages were charged, including those of deleted
    /// messages, before any refunds. Null if messages of an earlier release aren't counted yet.
    /// Reading the conversation itself counts up to 2,000 messages.
    #[schema(required, examples(200))]
    charged: Option<Credits>,
    /// The time at which a temporary conversation and its messages are deleted. Missing if the
    /// conversation is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, format = "date-time", examples("2026-11-21T07:17:39.000Z"))]
    expires: Option<String>,
    /// The id of the folder that contains the conversation. Null if no folder contains it.
    #[schema(required, format = "uuid", examples("01a1f7d1-6f00-7a31-8d2c-5be2a1f0c9d4"))]
    folder_id: Option<&'a str>,
    /// The files that the AI gets with each message in the conversation, oldest first. Missing if
    /// there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    files: Vec<File>,
}

impl<'a> Conversation<'a> {
    /// Creates the view of this conversation.
    pub fn of(conversation: &'a store::Conversation) -> Self {
        Self {
            id: conversation.id(),
            title: &conversation.title,
            created: clock::rfc3339(conversation.created),
            last_used: clock::rfc3339(conversation.used),
            pinned: conversation.is_pinned(),
            instructions: conversation.instructions.as_deref().unwrap_or_default(),
            charged: conversation.charged(),
            expires: conversation.expires_at.map(|end| clock::rfc3339(end * 1000)),
            folder_id: conversation.folder.as_deref(),
            files: conversation.files().iter().map(File::of).collect(),
        }
    }
}

/// A folder of conversations.
#[derive(Serialize, ToSchema)]
pub struct Folder<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6f00-7a31-8d2c-5be2a1f0c9d4"))]
    id: &'a str,
    /// The name.
    #[schema(value_type = FolderName)]
    name: &'a str,
    /// The instructions that the AI gets with each message in the folder's conversations, after the
    /// account's instructions and before those of the conversation.
    #[schema(value_type = Instructions)]
    instructions: &'a str,
}

impl<'a> Folder<'a> {
    /// Creates the view of this folder.
    pub fn of(folder: &'a values::Folder) -> Self {
        Self { id: &folder.id, name: &folder.name, instructions: &folder.instructions }
    }
}

/// A file that was attached to a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AttachedFile)]
pub struct File {
    /// The message's id, and the file's position in the message.
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342.0"))]
    id: String,
    #[schema(examples("notes.txt"))]
    name: String,
    /// `image/png`, `image/jpeg`, `image/webp` or `text/plain`. Later releases may add types.
    #[serde(rename = "type")]
    #[schema(examples("text/plain"))]
    kind: String,
    /// The size of the content.
    #[schema(examples(11))]
    bytes: u64,
    /// The maximum number of model tokens in a text. Null for a picture, because the number depends
    /// on the model.
    #[schema(required, examples(23))]
    tokens: Option<u64>,
}

impl File {
    /// Creates the view of this file.
    pub fn of(file: &FileInfo) -> Self {
        let FileInfo { id, name, kind, bytes, tokens, high: _ } = file.clone();
        Self { id, name, kind, bytes, tokens }
    }
}

/// A file with its content. A picture has `data`, and a text has `text`.
#[derive(Serialize, ToSchema)]
pub struct FileWithContent {
    #[serde(flatten)]
    file: File,
    /// The bytes of a picture, as Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, content_encoding = "base64")]
    data: Option<String>,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("Hello world"))]
    text: Option<String>,
}

impl FileWithContent {
    /// Creates the view of this file.
    pub fn of(file: values::File) -> Self {
        let (data, text) = match file.content {
            FileContent::Picture(bytes) => (Some(BASE64_STANDARD.encode(bytes)), None),
            FileContent::Text(text) => (None, Some(text)),
        };
        Self { file: File::of(&file.info), data, text }
    }
}

/// A message and its answer.
#[derive(Serialize, ToSchema)]
pub struct Chat<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: &'a str,
    /// The id of the conversation. Null for messages from OpenAI's clients.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    conversation_id: Option<&'a str>,
    /// The id of the message that this message follows, or `start`. Messages in the main line of
    /// the conversation follow the message before them and omit this field. If the message that it
    /// follows was deleted, the preceding message in the main line takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    after: Option<&'a str>,
    #[schema(examples("Hello!"))]
    message: &'a str,
    /// The files that were attached to the message. Missing if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    files: Vec<File>,
    /// The answer. A function call is shown as a line `Calls name(arguments)`.
    #[schema(examples("You said: Hello!"))]
    response: Cow<'a, str>,
    /// The model's reasoning before the answer. Missing if the provider doesn't show any. Later
    /// messages of the conversation don't contain it.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false, examples("The user greets me."))]
    reasoning: String,
    /// The reason why the answer ends: it is complete, reached its maximum length, was stopped, or
    /// calls functions.
    finish_reason: FinishReason,
    /// The model that answered: its name in the price list if there is one, otherwise the
    /// provider's name for it.
    #[schema(examples("echo"))]
    model: &'a str,
    /// The price of the message.
    tokens_deducted: Credits,
    /// The model's token counts. The price depends on them only if the model is charged by usage.
    usage: Usage,
    /// How the message was priced. Missing if there was no price list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    receipt: Option<Receipt<'a>>,
    /// The time at which the message was sent.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    timestamp: String,
}

impl<'a> Chat<'a> {
    /// Creates the view of this chat.
    pub fn of(chat: &'a chat::Chat) -> Self {
        Self {
            id: &chat.chat_id,
            conversation_id: chat.conversation.as_deref(),
            after: chat.after(),
            message: &chat.message,
            files: chat.files.iter().map(File::of).collect(),
            response: chat.answer(),
            reasoning: chat.reasoning_text(),
            finish_reason: chat.finish_reason(),
            model: chat.model_name(),
            tokens_deducted: chat.cost,
            usage: chat.usage(),
            receipt: chat.receipt.as_ref().map(Receipt::of),
            timestamp: clock::rfc3339(chat.time),
        }
    }
}

/// How a message was priced.
#[derive(Serialize, ToSchema)]
pub struct Receipt<'a> {
    /// The version of the price list.
    #[schema(examples("3f2a9c0d51b7e684"))]
    prices: &'a str,
    /// The model's name in the list.
    #[schema(examples("echo"))]
    model: &'a str,
    /// The model's fare.
    #[schema(value_type = StoredFare)]
    fare: Fare,
    /// The tokens that were held until the answer was complete. The message never costs more.
    held: Credits,
    /// True if the maximum length of the answer was reduced to fit the held tokens. Missing if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    shortened: bool,
    /// True if all held tokens were charged, because the message was stopped. Missing if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    whole: bool,
}

impl<'a> Receipt<'a> {
    /// Creates the view of this receipt.
    pub fn of(receipt: &'a values::Receipt) -> Self {
        Self {
            prices: &receipt.list,
            model: &receipt.model,
            fare: receipt.fare,
            held: receipt.held,
            shortened: receipt.shortened,
            whole: receipt.whole,
        }
    }
}

/// A message, its answer and its user.
#[derive(Serialize, ToSchema)]
pub struct ChatOfUser<'a> {
    #[serde(flatten)]
    chat: Chat<'a>,
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: &'a str,
    /// The name that the account had when the message was sent.
    #[schema(examples("ann"))]
    username: &'a str,
}

impl<'a> ChatOfUser<'a> {
    /// Creates the view of this chat.
    pub fn of(chat: &'a chat::Chat) -> Self {
        Self { chat: Chat::of(chat), user_id: &chat.user_id, username: &chat.name }
    }
}

/// A ledger entry.
#[derive(Serialize, ToSchema)]
pub struct LedgerRow<'a> {
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    pub(crate) id: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    pub(crate) timestamp: String,
    #[schema(value_type = values::EntryKind)]
    pub(crate) kind: &'a str,
    /// The number of tokens that were added. Negative if tokens were taken.
    #[schema(examples(-100))]
    pub(crate) amount: i64,
    /// The reason for the change.
    #[schema(examples("chat"))]
    pub(crate) reason: &'a str,
    /// The id of the message that was paid for.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    pub(crate) chat_id: Option<&'a str>,
    /// The price list's name for the model that answered. Like `usage` and `fare`, this field is
    /// missing if the price wasn't set by a price list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("echo"))]
    pub(crate) model: Option<&'a str>,
    /// The model tokens that the price depends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) usage: Option<Usage>,
    /// The model's fare.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, value_type = Option<StoredFare>)]
    pub(crate) fare: Option<Fare>,
    /// The purchase that was paid or refunded. Missing for other rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) purchase: Option<PurchaseOfRow<'a>>,
    /// True for the tokens of a voucher. `reason` is then the name of the vouchers. Missing for
    /// other rows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    pub(crate) voucher: bool,
}

/// The purchase that a ledger entry belongs to.
#[derive(Serialize, ToSchema)]
pub(crate) struct PurchaseOfRow<'a> {
    /// The id of the purchase.
    #[schema(format = "uuid", examples("01a1f7d1-6e3b-7d02-a6c5-3f0e9b1d8a47"))]
    id: &'a str,
    /// The money that was paid, in the currency's smallest unit. Negative if it was refunded.
    #[schema(examples(499))]
    pub(crate) money: i64,
    /// The currency, in three capital letters.
    #[schema(examples("EUR"))]
    pub(crate) currency: &'a str,
}

impl<'a> PurchaseOfRow<'a> {
    fn of(payment: &'a values::Payment) -> Self {
        let values::Payment { order, money, currency } = payment;
        Self { id: order, money: *money, currency }
    }
}

impl<'a> LedgerRow<'a> {
    /// Creates the view of this ledger entry.
    pub fn of(entry: &'a values::Entry) -> Self {
        Self {
            id: &entry.entry_id,
            timestamp: clock::rfc3339(entry.time),
            kind: entry.kind.word(),
            amount: entry.amount,
            reason: &entry.reason,
            chat_id: entry.chat_id.as_deref(),
            model: entry.receipt.as_ref().map(|receipt| receipt.model.as_str()),
            usage: entry.usage,
            fare: entry.receipt.as_ref().map(|receipt| receipt.fare),
            purchase: entry.payment.as_ref().map(PurchaseOfRow::of),
            voucher: entry.source.as_ref().is_some_and(values::Source::is_voucher),
        }
    }
}

/// A ledger entry with its user and its actor.
#[derive(Serialize)]
pub struct LedgerRowOfUser<'a> {
    #[serde(flatten)]
    row: LedgerRow<'a>,
    user_id: &'a str,
    actor: &'a str,
    /// The user's name. `None` if the account was deleted or the name wasn't looked up.
    username: Option<&'a str>,
    /// The actor's name. `None` if the account was deleted or the name wasn't looked up.
    actor_name: Option<&'a str>,
}

impl<'a> LedgerRowOfUser<'a> {
    /// Creates the view of this ledger entry, with the usernames that `name` returns.
    pub fn of(entry: &'a values::Entry, name: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            row: LedgerRow::of(entry),
            user_id: &entry.user_id,
            actor: &entry.actor,
            username: name(&entry.user_id),
            actor_name: name(&entry.actor),
        }
    }
}
