//! The table Ledger: an immutable row behind everything that ever moved a balance.

use serde::{Deserialize, Serialize};

use super::Store;
use crate::clock::Clock;
use crate::user::Account;
use crate::{Change, Result};

/// Sorts after every entry id.
const AFTER_ALL: &str = "~";

/// The longest reason, in characters.
const REASON_LENGTH: usize = 200;

/// Why a balance moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Tokens that a new account was given.
    Grant,
    /// A settled chat.
    Chat,
    /// A correction: tokens that were given or taken by hand.
    Adjustment,
}

impl EntryKind {
    /// The kind in one word, as it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Chat => "chat",
            Self::Adjustment => "adjustment",
        }
    }
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
    /// The id of the account that did it, or `manage` for a terminal.
    pub actor: String,
    /// The chat that was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// When, in milliseconds since 1970.
    pub time: u64,
}

/// Why a balance is adjusted, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// Something, on one line of at most 200 characters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("A reason may not be empty.".into());
        }
        if text.chars().count() > REASON_LENGTH {
            return Err(format!("A reason has at most {REASON_LENGTH} characters."));
        }
        if text.chars().any(char::is_control) {
            return Err("A reason is one line.".into());
        }
        Ok(Self(text.to_owned()))
    }
}

/// A change of one account's balance by hand, with everything fixed before the first send: sent again, it is the same one.
#[derive(Clone, Debug)]
pub struct Adjustment {
    /// The key of the account's name.
    pub(super) name_key: String,
    pub(super) change: Change,
    pub(super) entry: Entry,
}

impl Adjustment {
    /// An adjustment of this account; `actor` is the id of the account that does it.
    pub fn new(account: &Account, change: Change, reason: Reason, actor: &str, clock: &Clock) -> Self {
        let entry = Entry {
            user_id: account.id.clone(),
            entry_id: clock.id().to_string(),
            amount: change.amount(),
            kind: EntryKind::Adjustment,
            reason: reason.0,
            actor: actor.to_owned(),
            chat_id: None,
            time: clock.millis(),
        };
        Self { name_key: account.label.clone(), change, entry }
    }
}

impl Store {
    /// At most `count` rows of a user, newest first, older than the row `before`; and whether DynamoDB stopped before the last one,
    /// which it does at 1 MB too.
    pub async fn entries(&self, user_id: &str, before: Option<&str>, count: usize) -> Result<(Vec<Entry>, bool)> {
        self.newest_first(&self.tables.ledger, "user_id = :user AND entry_id < :before", user_id, before.unwrap_or(AFTER_ALL), count).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_on_one_line() {
        for (bad, sentence) in [("", "empty"), (" \t", "empty"), ("a\nb", "one line"), ("a\0b", "one line"), (&"é".repeat(201), "at most 200")] {
            assert!(Reason::parse(bad).unwrap_err().contains(sentence), "{bad:?}");
        }
        assert_eq!(Reason::parse(&format!(" {} ", "é".repeat(200))), Ok(Reason("é".repeat(200))));
    }

    #[test]
    fn the_word_of_a_kind_is_the_one_that_is_stored() {
        for kind in [EntryKind::Grant, EntryKind::Chat, EntryKind::Adjustment] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
    }
}
