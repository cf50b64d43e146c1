//! Replies that several endpoints share: accounts, sessions, API keys, conversations, messages and
//! rows of the ledger.

mod listed;

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::values::api_key::KeyName;
use crate::values::{
    self, Account, FinishReason, GivenName, Instructions, Role, Usage, Username, chat,
};
use crate::{Credits, clock, store};

pub use self::listed::ListedUser;

/// A confirmation.
#[derive(Debug, Serialize, ToSchema)]
pub struct Done {
    /// A sentence for people.
    pub message: &'static str,
}

/// An empty object.
#[derive(Debug, Serialize, ToSchema)]
pub struct Nothing {}

/// An account as its owner sees it.
#[derive(Serialize, ToSchema)]
pub struct User<'a> {
    /// Messages, sessions and the statement refer to it. An account that reuses a name has another.
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    id: &'a str,
    /// The name as it was typed.
    #[schema(value_type = Username)]
    username: &'a str,
    /// The e-mail address as it was typed.
    #[schema(required, examples("ann@example.com"))]
    email: Option<&'a str>,
    /// Whether the owner has verified this address.
    email_verified: bool,
    /// An address that another account has not verified. Once it is verified, it replaces `email`.
    #[schema(required)]
    pending_email: Option<&'a str>,
    /// Empty if it is missing.
    #[schema(value_type = GivenName)]
    first_name: &'a str,
    /// Empty if it is missing.
    #[schema(value_type = GivenName)]
    last_name: &'a str,
    /// `user` or `admin`. Later releases may add roles: treat others as `user`.
    #[schema(examples("user"))]
    role: &'a str,
    /// Whether the role is `admin`.
    is_staff: bool,
    /// When the account was created.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.921Z"))]
    date_joined: String,
}

impl<'a> User<'a> {
    /// The view of this account.
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

/// The balance: one number under the three names that clients read.
#[derive(Serialize, ToSchema)]
pub struct Balance {
    /// The balance.
    tokens: Credits,
    /// The same number.
    tokens_left: Credits,
    /// The same number.
    remaining_tokens: Credits,
}

impl Balance {
    /// The view of this balance.
    pub fn of(balance: Credits) -> Self {
        Self { tokens: balance, tokens_left: balance, remaining_tokens: balance }
    }
}

/// The current balance, and the tokens that are held.
#[derive(Serialize, ToSchema)]
pub struct CurrentBalance {
    /// The balance.
    #[serde(flatten)]
    balance: Balance,
    /// Tokens that are held for messages whose answer isn't finished. They aren't part of the
    /// balance. They are spent with the answer, or return to the balance within minutes.
    #[schema(examples(0))]
    tokens_held: Credits,
}

impl CurrentBalance {
    /// The view of this account at the second `now`.
    pub fn of(account: &Account, now: u64) -> Self {
        Self { balance: Balance::of(account.balance(now)), tokens_held: account.held(now) }
    }
}

/// An account as administrators see it.
#[derive(Serialize, ToSchema)]
pub struct UserDetails<'a> {
    /// The owner's view.
    #[serde(flatten)]
    user: User<'a>,
    /// The balance.
    #[serde(flatten)]
    balance: CurrentBalance,
    /// The other fields.
    #[serde(flatten)]
    details: DetailsOfUser<'a>,
}

/// What only administrators see of an account.
#[derive(Serialize, ToSchema)]
struct DetailsOfUser<'a> {
    /// Whether the account is active. A deactivated account can't be used.
    active: bool,
    /// All tokens ever granted, including adjustments.
    granted: Credits,
    /// All tokens ever spent.
    spent: Credits,
    /// Tokens that are reserved for messages that wait for an answer.
    reservations: Vec<HeldTokens<'a>>,
    /// The newest sessions, newest first, at most 100.
    sessions: Vec<Session<'a>>,
    /// How many API keys the account has.
    #[schema(examples(1))]
    api_keys: u32,
}

/// Tokens that are reserved for a message.
#[derive(Serialize, ToSchema)]
struct HeldTokens<'a> {
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: &'a str,
    /// How many.
    cost: Credits,
    /// The id of the message.
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    chat_id: &'a str,
    /// When the reservation expires.
    #[schema(format = "date-time", examples("2026-11-20T07:19:09.000Z"))]
    expires: String,
    /// Whether it has expired: the tokens can be spent again.
    expired: bool,
}

impl<'a> UserDetails<'a> {
    /// The view of this account at the second `now`, with these sessions of it.
    pub fn of(account: &'a Account, sessions: &'a [values::Session], now: u64) -> Self {
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
        };
        Self { user: User::of(account), balance: CurrentBalance::of(account, now), details }
    }
}

/// A session as administrators see it.
#[derive(Serialize, ToSchema)]
pub struct Session<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6dfc-7191-b0f2-0a2b0c4a3c55"))]
    id: &'a str,
    /// The `User-Agent` of the log-in.
    #[schema(examples("curl/8.5.0"))]
    device: &'a str,
    #[schema(required, format = "date-time", examples("2026-11-20T07:17:39.000Z"))]
    began: Option<String>,
    /// When it was last refreshed, or else begun.
    #[schema(required, format = "date-time", examples("2026-11-20T07:17:39.000Z"))]
    last_used: Option<String>,
    #[schema(format = "date-time", examples("2026-12-20T07:17:39.000Z"))]
    ends: String,
}

impl<'a> Session<'a> {
    /// The view of this session.
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
    /// Whether it is the session of this request.
    current: bool,
}

impl<'a> OwnSession<'a> {
    /// The view of this session for the caller whose session has the id `current`.
    pub fn of(session: &'a values::Session, current: &str) -> Self {
        Self { session: Session::of(session), current: session.id() == current }
    }
}

/// An API key, without its secret.
#[derive(Serialize, ToSchema)]
pub struct ApiKey<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6e2a-7b0e-9c41-0d5b8c1f7a36"))]
    id: &'a str,
    /// The name that its owner chose.
    #[schema(value_type = KeyName)]
    name: &'a str,
    /// The last four characters of the key.
    #[schema(min_length = 4, max_length = 4, examples("9xQk"))]
    hint: &'a str,
    /// When it was created.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.978Z"))]
    created: String,
}

impl<'a> ApiKey<'a> {
    /// The view of this key.
    pub fn of(key: &'a values::StoredApiKey) -> Self {
        Self {
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
    /// The id of its first message.
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: &'a str,
    /// The title: at first the beginning of the first message.
    #[schema(examples("Hello!"))]
    title: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    created: String,
    /// When its last message was sent.
    #[schema(format = "date-time", examples("2026-11-20T07:17:40.102Z"))]
    last_used: String,
    /// Whether it is pinned: these come first in the list.
    pinned: bool,
    /// The instructions that the AI gets with each message of it.
    #[schema(value_type = Instructions)]
    instructions: &'a str,
}

impl<'a> Conversation<'a> {
    /// The view of this conversation.
    pub fn of(conversation: &'a store::Conversation) -> Self {
        Self {
            id: conversation.id(),
            title: &conversation.title,
            created: clock::rfc3339(conversation.created),
            last_used: clock::rfc3339(conversation.used),
            pinned: conversation.is_pinned(),
            instructions: conversation.instructions.as_deref().unwrap_or_default(),
        }
    }
}

/// A message and its answer.
#[derive(Serialize, ToSchema)]
pub struct Chat<'a> {
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    id: &'a str,
    /// Its conversation. Messages of OpenAI's clients belong to none.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    conversation_id: Option<&'a str>,
    /// The message that it follows, or `start`. Missing in the main line of the conversation, where
    /// each follows the one before it. If it was deleted, the one of the main line before it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    after: Option<&'a str>,
    #[schema(examples("Hello!"))]
    message: &'a str,
    /// The answer. A call of a function is a line `Calls name(arguments)`.
    #[schema(examples("You said: Hello!"))]
    response: Cow<'a, str>,
    /// Why the answer ends: it is complete, has reached its maximum length, was stopped, or calls
    /// functions.
    finish_reason: FinishReason,
    /// The model that answered.
    #[schema(examples("echo"))]
    model: &'a str,
    /// The price.
    tokens_deducted: Credits,
    /// The model's own token counts, which don't change the price.
    usage: Usage,
    /// When the message was sent.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    timestamp: String,
}

impl<'a> Chat<'a> {
    /// The view of this message.
    pub fn of(chat: &'a chat::Chat) -> Self {
        Self {
            id: &chat.chat_id,
            conversation_id: chat.conversation.as_deref(),
            after: chat.after(),
            message: &chat.message,
            response: chat.answer(),
            finish_reason: chat.finish_reason(),
            model: &chat.model,
            tokens_deducted: chat.cost,
            usage: chat.usage(),
            timestamp: clock::rfc3339(chat.time),
        }
    }
}

/// A message, its answer, and the balance after it.
#[derive(Serialize, ToSchema)]
pub struct PaidChat<'a> {
    /// The message and its answer.
    #[serde(flatten)]
    chat: Chat<'a>,
    /// The balance after it.
    #[serde(flatten)]
    balance: Balance,
}

impl<'a> PaidChat<'a> {
    /// The view of this message, with the balance right after its tokens were taken.
    pub fn of(chat: &'a chat::Chat) -> Self {
        Self { chat: Chat::of(chat), balance: Balance::of(chat.tokens_left) }
    }
}

/// A message, its answer and its user.
#[derive(Serialize, ToSchema)]
pub struct ChatOfUser<'a> {
    #[serde(flatten)]
    chat: Chat<'a>,
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user_id: &'a str,
    /// The username at that time.
    #[schema(examples("ann"))]
    username: &'a str,
}

impl<'a> ChatOfUser<'a> {
    /// The view of this message.
    pub fn of(chat: &'a chat::Chat) -> Self {
        Self { chat: Chat::of(chat), user_id: &chat.user_id, username: &chat.name }
    }
}

/// A row of the ledger.
#[derive(Serialize, ToSchema)]
pub struct LedgerRow<'a> {
    #[schema(examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    pub(crate) id: &'a str,
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.966Z"))]
    pub(crate) timestamp: String,
    #[schema(value_type = values::EntryKind)]
    pub(crate) kind: &'a str,
    /// How many tokens were added, or taken if negative.
    #[schema(examples(-100))]
    pub(crate) amount: i64,
    /// Why.
    #[schema(examples("chat"))]
    pub(crate) reason: &'a str,
    /// The id of the message that was paid for.
    #[schema(required, format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    pub(crate) chat_id: Option<&'a str>,
}

impl<'a> LedgerRow<'a> {
    /// The view of this entry.
    pub fn of(entry: &'a values::Entry) -> Self {
        Self {
            id: &entry.entry_id,
            timestamp: clock::rfc3339(entry.time),
            kind: entry.kind.word(),
            amount: entry.amount,
            reason: &entry.reason,
            chat_id: entry.chat_id.as_deref(),
        }
    }
}

/// A row of the ledger, its user and its actor.
#[derive(Serialize)]
pub struct LedgerRowOfUser<'a> {
    #[serde(flatten)]
    row: LedgerRow<'a>,
    user_id: &'a str,
    actor: &'a str,
    /// `None` if the account was deleted, or no name was looked up.
    username: Option<&'a str>,
    /// The same of the actor.
    actor_name: Option<&'a str>,
}

impl<'a> LedgerRowOfUser<'a> {
    /// The view of this entry, with the usernames that are known.
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
