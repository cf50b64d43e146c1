//! Messages, titles of conversations, and a message with its answer as it is stored.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Tokens;
use crate::ai::{Cut, Speaker, Turn, Usage};
use crate::user::turns_text;

/// A message that may be sent to the AI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    /// At most `limit` characters, not only white space, and no NUL.
    pub fn parse(text: String, limit: usize) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("A message must not be empty.".into());
        }
        if text.contains('\0') {
            return Err("A message must not contain NUL characters.".into());
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

/// The title of a conversation.
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

/// A message and its answer, as the table Chats stores them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The account's id.
    pub user_id: String,
    /// UUIDv7: messages sort by the time at which they were sent.
    pub chat_id: String,
    /// The id of its conversation, if it belongs to one: the id of the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Its place in the index by_conversation: `<conversation>#<chat id>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The message.
    pub message: String,
    /// The answer.
    pub response: String,
    /// The model that answered.
    pub model: String,
    /// Why the answer is cut off, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// The model's token counts, if the provider reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Its price.
    pub cost: Tokens,
    /// The balance right after the tokens were reserved.
    pub tokens_left: Tokens,
    /// When it was sent, in milliseconds since 1970.
    pub time: u64,
    /// The username, for the administrators' list.
    pub name: String,
    /// Partition of the index by_time: `<yyyy-mm>#<shard>`.
    pub month: String,
}

/// Why an answer ends: the words of OpenAI's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It is complete.
    Stop,
    /// It has reached its maximum length, or the time was over.
    Length,
    /// The provider's content filter.
    ContentFilter,
}

impl Chat {
    /// The same chat in this conversation.
    #[must_use]
    pub fn of(self, conversation: Option<String>) -> Self {
        let thread =
            conversation.as_ref().map(|conversation| format!("{conversation}#{}", self.chat_id));
        Self { conversation, thread, ..self }
    }

    /// Why the answer ends.
    pub fn finish_reason(&self) -> FinishReason {
        match self.cut {
            None => FinishReason::Stop,
            Some(Cut::Length) => FinishReason::Length,
            Some(Cut::ContentFilter) => FinishReason::ContentFilter,
        }
    }

    /// The message and the answer as turns.
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
