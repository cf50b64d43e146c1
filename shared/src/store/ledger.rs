//! The table Ledger: an immutable row behind everything that ever moved a balance.

use serde::{Deserialize, Serialize};

/// Why a balance moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Tokens that a new account was given.
    Grant,
    /// A settled chat.
    Chat,
}

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The account's id.
    pub user_id: String,
    /// UUIDv7; a chat's row has the chat's id, so that a chat is charged once, even after it was deleted.
    pub entry_id: String,
    /// What was added to the balance; negative where it was taken.
    pub amount: i64,
    /// Why.
    pub kind: EntryKind,
    /// Why, for people.
    pub reason: String,
    /// The id of the account that did it.
    pub actor: String,
    /// The chat that was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// When, in milliseconds since 1970.
    pub time: u64,
}
