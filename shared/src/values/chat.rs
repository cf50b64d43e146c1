//! Messages, titles of conversations, and chats as they are stored.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Credits;
use crate::values::text::turns_text;
use crate::values::{CutReason, Invalid, Speaker, ToolCall, Turn, Usage};

/// A message that may be sent to the AI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(String);

impl Message {
    /// At most `limit` characters, not only white space, and no NUL.
    pub fn parse(text: String, limit: usize) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Err("A message must not be empty.".into());
        }
        if text.contains('\0') {
            return Err("A message must not contain NUL characters.".into());
        }
        if text.chars().count() > limit {
            return Err(format!("A message can have at most {limit} characters.").into());
        }
        Ok(Self(text))
    }

    /// The same of a text of any length: of a longer one, its beginning and a mark that says so.
    pub fn shortened(text: String, limit: usize) -> Result<Self, Invalid> {
        let length = text.chars().count();
        let whole = Self::parse(text, length)?;
        if length <= limit {
            return Ok(whole);
        }
        let mark = format!("\n[shortened: {length} characters were sent]");
        let kept = limit.saturating_sub(mark.chars().count());
        let beginning = whole.0.chars().take(kept);
        Ok(Self(beginning.chain(mark.chars()).take(limit).collect()))
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
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.is_empty()
            || text.chars().count() > TITLE_LENGTH
            || text.chars().any(char::is_control)
        {
            return Err(
                format!("A title must have 1 to {TITLE_LENGTH} characters on one line.").into()
            );
        }
        if text.chars().any(turns_text) {
            return Err(
                "A title must not have characters that change the direction of text.".into()
            );
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }
}

/// What a chat follows in its conversation, if it doesn't simply continue it: its user has edited
/// a message, or had it answered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentChat {
    /// Nothing: it is another beginning of the conversation.
    Start,
    /// The chat with this id.
    Message(String),
}

/// The word for [`After::Start`].
const START: &str = "start";

impl ParentChat {
    /// `start` or an id, as clients and the store write it. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            START => Some(Self::Start),
            id => Uuid::try_parse(id).ok().map(|id| Self::Message(id.to_string())),
        }
    }

    /// `start` or the id.
    pub fn word(&self) -> &str {
        match self {
            Self::Start => START,
            Self::Message(id) => id,
        }
    }

    /// What the chat at this place in the index by_conversation follows.
    pub(crate) fn of_place(place: &str) -> Option<Self> {
        word_of_place(place).and_then(Self::parse)
    }
}

/// A chat's place in the index by_conversation: `<conversation>#<chat id>`, or
/// `<conversation>#<chat id>#<after>` if it follows another chat than the one before it.
pub(crate) fn place(conversation: &str, chat_id: &str, after: Option<&ParentChat>) -> String {
    match after {
        None => format!("{conversation}#{chat_id}"),
        Some(after) => format!("{conversation}#{chat_id}#{}", after.word()),
    }
}

fn word_of_place(place: &str) -> Option<&str> {
    place.split('#').nth(2)
}

/// A message with its answer, as the table Chats stores it. A page of [`crate::Store::chats`] lacks
/// what has a default here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chat {
    /// The account's id.
    #[serde(default)]
    pub user_id: String,
    /// UUIDv7: chats sort by the time at which they were sent.
    pub chat_id: String,
    /// The id of its conversation, if it belongs to one: the id of the first chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Its place in the index by_conversation, which tells what it follows: [`Chat::after`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// The message.
    pub message: String,
    /// The text of the answer.
    pub response: String,
    /// The functions that the answer calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// The model that answered.
    pub model: String,
    /// Why the answer is cut off, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutReason>,
    /// Whether its user stopped the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// The model's token counts. Older chats may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost.
    pub cost: Credits,
    /// How many times the price of a chat the cost is. `None` if it is the price itself: only a
    /// long prompt costs more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<u32>,
    /// The balance right after the credits were reserved.
    #[serde(default)]
    pub tokens_left: Credits,
    /// When it was sent, in milliseconds since 1970.
    pub time: u64,
    /// The username, for the administrators' list.
    pub name: String,
    /// Partition of the index by_time: `<yyyy-mm>#<shard>`.
    #[serde(default)]
    pub month: String,
}

/// Why an answer ends: the words of OpenAI's API, and one of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It is complete.
    Stop,
    /// It has reached its maximum length, or the time was over.
    Length,
    /// The provider's content filter.
    ContentFilter,
    /// It calls functions.
    ToolCalls,
    /// The same for a request with `functions`, the older form of `tools`.
    FunctionCall,
    /// Its user stopped it. OpenAI's clients, which don't know this word, read `length`.
    Stopped,
}

impl Chat {
    /// The same chat in this conversation, with this parent.
    #[must_use]
    pub fn of(self, conversation: Option<String>, after: Option<&ParentChat>) -> Self {
        let place = |conversation: &String| place(conversation, &self.chat_id, after);
        let thread = conversation.as_ref().map(place);
        Self { conversation, thread, ..self }
    }

    /// What it follows in its conversation, in the word of [`After`]. `None` if it follows the newest
    /// older chat of which this is true too.
    pub fn after(&self) -> Option<&str> {
        self.thread.as_deref().and_then(word_of_place)
    }

    /// Why the answer ends.
    pub fn finish_reason(&self) -> FinishReason {
        match self.cut {
            _ if self.stopped => FinishReason::Stopped,
            Some(CutReason::Length) => FinishReason::Length,
            Some(CutReason::ContentFilter) => FinishReason::ContentFilter,
            None if self.calls.is_empty() => FinishReason::Stop,
            None => FinishReason::ToolCalls,
        }
    }

    /// The whole answer for people: its text, and a line for each call of a function.
    pub fn answer(&self) -> Cow<'_, str> {
        if self.calls.is_empty() {
            return Cow::Borrowed(&self.response);
        }
        let text = Some(self.response.clone()).filter(|text| !text.is_empty());
        let lines = text.into_iter().chain(self.calls.iter().map(ToString::to_string));
        Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
    }

    /// The model's token counts, or an estimate.
    pub fn usage(&self) -> Usage {
        let estimate = || Usage::estimate(self.message.len(), self.answer().len());
        self.usage.unwrap_or_else(estimate)
    }

    /// How many bytes the message and its answer take.
    pub fn size(&self) -> usize {
        let calls: usize = self.calls.iter().map(ToolCall::size).sum();
        self.message.len() + self.response.len() + calls
    }

    /// The message and the answer as turns.
    pub fn turns(&self) -> [Turn; 2] {
        [
            Turn::new(Speaker::User, self.message.as_str()),
            Turn::new(Speaker::Assistant, self.response.as_str()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_short_line() {
        for bad in ["", " ", "a\nb", "a\0", "a\u{202e}b", "a\u{2066}", &"x".repeat(101)] {
            assert!(Title::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Title::parse(&format!(" {} ", "é".repeat(100))).unwrap().text(),
            "é".repeat(100)
        );
    }

    #[test]
    fn shortened_messages_are_marked() {
        let shortened = |characters: usize| {
            Message::shortened("é".repeat(characters), 50).unwrap().text().to_owned()
        };
        assert_eq!(shortened(50), "é".repeat(50));
        assert_eq!(
            shortened(51),
            format!("{}\n[shortened: 51 characters were sent]", "é".repeat(13))
        );
        assert_eq!(Message::shortened("x".repeat(9), 3).unwrap().text(), "\n[s");
        assert!(Message::shortened(" ".repeat(99), 50).is_err());
        assert!(Message::shortened(format!("{}\0", "x".repeat(99)), 50).is_err());
    }

    #[test]
    fn places_contain_the_parent() {
        let id = "01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342";
        let chat = |conversation: Option<&str>, after: Option<&ParentChat>| {
            let chat = Chat { chat_id: "b".into(), ..Chat::default() };
            chat.of(conversation.map(str::to_owned), after)
        };
        let message = ParentChat::Message(id.into());
        for after in [None, Some(ParentChat::Start), Some(message.clone())] {
            let placed = chat(Some("a"), after.as_ref());
            assert_eq!(placed.after(), after.as_ref().map(ParentChat::word));
            assert_eq!(ParentChat::of_place(&placed.thread.unwrap()), after);
        }
        assert_eq!(chat(Some("a"), None).thread.unwrap(), "a#b");
        assert_eq!(chat(None, Some(&message)).thread, None);
        assert_eq!(ParentChat::parse(&id.to_uppercase()), Some(message));
        for bad in ["", "Start", "x", "c#x"] {
            assert_eq!(ParentChat::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn messages_have_a_minimum_and_a_maximum_length() {
        for (bad, sentence) in
            [("", "empty"), (" \n", "empty"), ("a\0b", "NUL"), ("ééééééééééé", "at most 10")]
        {
            let error = Message::parse(bad.into(), 10).unwrap_err();
            assert!(error.sentence().contains(sentence), "{error}");
        }
        assert_eq!(Message::parse("éééééééééé".into(), 10).unwrap().text(), "éééééééééé");
    }
}
