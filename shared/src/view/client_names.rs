//! The names under which clients of five older systems read the same value. A reply contains every
//! name that any of these clients reads at its path, because the clients can't be changed, and an
//! additional name costs only a few bytes:
//!
//! | what | names | read in |
//! |---|---|---|
//! | the balance | `tokens`, `tokens_left`, `remaining_tokens`, `tokens_remaining` | registration, log-in, balance, profile, message |
//! | the account | `username`, `user` with `id`, `username` and `tokens` | registration (also `id`), log-in |
//! | the account | `user` (its id), `username` | balance, message, history |
//! | the message's id | `id`, `chat_id` | message, history |
//! | the session | `token`, `access`, `refresh` | registration, log-in |
//! | a failure | `detail`, `error`, `message`'s list, `non_field_errors` | each ([`Failures`](crate::http::Failures)) |
//!
//! In contrast, the names `token`, `access` and `refresh` mean different tokens
//! ([`SessionTokens`](crate::auth::SessionTokens)).

use serde::Serialize;
use utoipa::ToSchema;

use super::{Chat, OwnBalance, User};
use crate::Credits;
use crate::values::{Account, Allowances, chat};

/// The balance: one number under four names, because different clients read different names.
#[derive(Serialize, ToSchema)]
pub struct Balance {
    /// The balance.
    tokens: Credits,
    /// The balance again, under another name.
    tokens_left: Credits,
    /// The balance again, under a third name.
    remaining_tokens: Credits,
    /// The balance again, under a fourth name.
    tokens_remaining: Credits,
}

impl Balance {
    /// Creates the view of this balance.
    pub fn of(balance: Credits) -> Self {
        Self {
            tokens: balance,
            tokens_left: balance,
            remaining_tokens: balance,
            tokens_remaining: balance,
        }
    }
}

/// An account with its balance, in the reply to a registration or log-in.
#[derive(Serialize, ToSchema)]
pub struct UserOfSession<'a> {
    /// The account.
    #[serde(flatten)]
    user: User<'a>,
    /// The balance.
    tokens: Credits,
}

impl<'a> UserOfSession<'a> {
    /// Creates the view of this account with this balance.
    pub fn of(account: &'a Account, tokens: Credits) -> Self {
        Self { user: User::of(account), tokens }
    }
}

/// The account's id and username, which old clients read alongside its data.
#[derive(Serialize, ToSchema)]
struct Owner<'a> {
    /// The account's id.
    #[schema(format = "uuid", examples("01a1f7d1-6dd1-703a-9600-a369c76325b7"))]
    user: &'a str,
    /// The username.
    #[schema(examples("ann"))]
    username: &'a str,
}

/// The caller's balance.
#[derive(Serialize, ToSchema)]
pub struct BalanceOfCaller<'a> {
    /// The balance and the allowance.
    #[serde(flatten)]
    balance: OwnBalance,
    /// The account.
    #[serde(flatten)]
    owner: Owner<'a>,
}

impl<'a> BalanceOfCaller<'a> {
    /// Creates the view of this account's balance at the time `now`, in seconds since 1970.
    pub fn of(account: &'a Account, allowances: Allowances, now: u64) -> Self {
        Self {
            balance: OwnBalance::of(account, allowances, now),
            owner: Owner { user: &account.id, username: &account.name },
        }
    }
}

/// A message and its answer, as its sender reads them.
#[derive(Serialize, ToSchema)]
pub struct SentChat<'a> {
    /// The message and its answer.
    #[serde(flatten)]
    chat: Chat<'a>,
    /// The message's `id` again.
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    chat_id: &'a str,
    /// The account, with the name that it had when the message was sent.
    #[serde(flatten)]
    owner: Owner<'a>,
}

impl<'a> SentChat<'a> {
    /// Creates the view of this chat.
    pub fn of(chat: &'a chat::Chat) -> Self {
        Self {
            chat: Chat::of(chat),
            chat_id: &chat.chat_id,
            owner: Owner { user: &chat.user_id, username: &chat.name },
        }
    }
}

/// A message, its answer, and the balance after the message was paid.
#[derive(Serialize, ToSchema)]
pub struct PaidChat<'a> {
    /// The message and its answer.
    #[serde(flatten)]
    chat: SentChat<'a>,
    /// The balance after the message was paid.
    #[serde(flatten)]
    balance: Balance,
}

impl<'a> PaidChat<'a> {
    /// Creates the view of this chat, with the balance directly after its credits were held.
    pub fn of(chat: &'a chat::Chat) -> Self {
        Self { chat: SentChat::of(chat), balance: Balance::of(chat.tokens_left) }
    }
}
