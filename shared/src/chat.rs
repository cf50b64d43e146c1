//! A chat: the message, the reservation that pays for it, and the record of what was said.

use serde::{Deserialize, Serialize};

use crate::Tokens;
use crate::ai::{Cut, Speaker, Turn, Usage};
use crate::user::turns_text;

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

/// The most characters of a title.
pub(crate) const TITLE_LENGTH: usize = 100;

/// What a conversation may be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title(String);

impl Title {
    /// 1 to 100 characters on one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty()
            || text.chars().count() > TITLE_LENGTH
            || text.chars().any(char::is_control)
        {
            return Err(format!("A title has 1 to {TITLE_LENGTH} characters on one line."));
        }
        if text.chars().any(turns_text) {
            return Err("A title has no characters that change the direction of text.".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// A chat as the table Chats holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The account's id.
    pub user_id: String,
    /// UUIDv7: chats sort by the time at which they began.
    pub chat_id: String,
    /// The id of its conversation, if it belongs to one; the first chat's id is the
    /// conversation's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Its place in the index by_conversation: `<conversation>#<chat id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// What was asked.
    pub message: String,
    /// What the AI answered.
    pub response: String,
    /// The model that answered.
    pub model: String,
    /// Why the answer ends before its end, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// What the provider counted, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
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
    /// The chat as a part of this conversation.
    #[must_use]
    pub fn of(self, conversation: Option<String>) -> Self {
        let thread =
            conversation.as_ref().map(|conversation| format!("{conversation}#{}", self.chat_id));
        Self { conversation, thread, ..self }
    }

    /// What was said in it.
    pub fn turns(&self) -> [Turn; 2] {
        [
            Turn { role: Speaker::User, content: self.message.clone() },
            Turn { role: Speaker::Assistant, content: self.response.clone() },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_one_short_line() {
        for bad in ["", " ", "a\nb", "a\0", "a\u{202e}b", "a\u{2066}", &"x".repeat(101)] {
            assert!(Title::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Title::parse(&format!(" {} ", "é".repeat(100))).unwrap().text(),
            "é".repeat(100)
        );
    }

    #[test]
    fn a_message_says_something_and_not_too_much() {
        for (bad, sentence) in
            [("", "empty"), (" \n", "empty"), ("a\0b", "NUL"), ("ééééééééééé", "at most 10")]
        {
            let error = Message::parse(bad.into(), 10).unwrap_err();
            assert!(error.contains(sentence), "{error}");
        }
        assert_eq!(Message::parse("éééééééééé".into(), 10).unwrap().text(), "éééééééééé");
    }
}
