//! A chat: the message, the reservation that pays for it, and the record of what was said.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Tokens;
use crate::clock;

/// A message that may be sent to the AI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    /// Anything but nothing, at most `limit` characters, without NUL.
    pub fn parse(text: String, limit: usize) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("A message may not be empty.".into());
        }
        if text.contains('\0') {
            return Err("A message may not hold NUL characters.".into());
        }
        if text.chars().count() > limit {
            return Err(format!("A message has at most {limit} characters."));
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// Tokens taken from a balance for a chat whose answer is awaited, as the account holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// How many were taken.
    pub cost: Tokens,
    /// The id of the chat they were taken for: only who knows it may settle or release.
    pub owner: String,
    /// The second at which the lease ends: from then on it can't be settled, and anybody may release it.
    pub expires_at: u64,
    /// What was asked, as a hash: an idempotency key with another payload is refused. Empty where there is no key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fingerprint: String,
}

/// A chat as the table Chats holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The account's id.
    pub user_id: String,
    /// UUIDv7: chats sort by the time at which they began.
    pub chat_id: String,
    /// What was asked.
    pub message: String,
    /// What the AI answered.
    pub response: String,
    /// The model that answered.
    pub model: String,
    /// What it cost.
    pub cost: Tokens,
    /// The balance right after the tokens were taken.
    pub tokens_left: Tokens,
    /// When it began, in milliseconds since 1970.
    pub time: u64,
    /// The user's name, for the administrators' list.
    pub name: String,
    /// Partition of the index by_time: `<yyyy-mm>#<shard>`.
    pub month: String,
}

impl Chat {
    /// The chat as the history shows it.
    pub fn data(&self) -> Value {
        json!({
            "id": self.chat_id,
            "message": self.message,
            "response": self.response,
            "model": self.model,
            "tokens_deducted": self.cost,
            "timestamp": clock::rfc3339(self.time),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_something_and_not_too_much() {
        for (bad, sentence) in [("", "empty"), (" \n", "empty"), ("a\0b", "NUL"), ("ééééééééééé", "at most 10")] {
            let error = Message::parse(bad.into(), 10).unwrap_err();
            assert!(error.contains(sentence), "{error}");
        }
        assert_eq!(Message::parse("éééééééééé".into(), 10).unwrap().text(), "éééééééééé");
    }
}
