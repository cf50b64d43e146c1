//! Shared chats: the link to a copy of a conversation's branch, and the copy's content.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Builder;

use super::limit::HOUR;
use super::thoughts::without_thoughts;
use super::{Chat, FinishReason, Limit};

/// The maximum number of shared chats of one account.
pub const SHARES: u32 = 50;

/// How many chats an account may share per hour.
pub const SHARES_AN_HOUR: u32 = 20;

/// How many reports about shared chats one network may send per hour.
pub const REPORTS_AN_HOUR: u32 = 10;

/// The maximum number of messages in a shared chat.
pub const SHARED_MESSAGES: usize = 500;

/// The maximum size of a shared chat's messages and answers as JSON, in bytes. A transaction in
/// DynamoDB contains at most 4 MB.
pub const SHARED_BYTES: usize = 1_000_000;

/// The number of bytes in a link.
const LINK_BYTES: usize = 16;

/// The secret in the address of a shared chat, `/s/<link>`: 128 random bits. Everybody who
/// knows the link can read the chat.
#[derive(Clone, PartialEq, Eq)]
pub struct ShareLink([u8; LINK_BYTES]);

impl fmt::Debug for ShareLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShareLink(redacted)")
    }
}

impl ShareLink {
    /// Creates a random link.
    ///
    /// # Errors
    /// Fails if the operating system can't provide random bytes.
    pub fn random() -> Result<Self, Unspecified> {
        let mut bytes = [0; LINK_BYTES];
        rand::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Parses a link that a client sent. Each link has only one form: 32 hexadecimal digits in
    /// lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 2 * LINK_BYTES || !text.bytes().all(is_digit) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
    }

    /// Returns the link as written in addresses: digits and letters only, so that programs that
    /// recognise addresses in texts don't cut it off.
    pub fn text(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }

    /// Returns the shared chat's id: the hash of the link, in the form of a UUID. Lists and log
    /// lines contain the id, which doesn't reveal the link.
    pub fn id(&self) -> String {
        let hash = digest(&SHA256, &self.0);
        let mut bytes = [0; 16];
        for (byte, hashed) in bytes.iter_mut().zip(hash.as_ref()) {
            *byte = *hashed;
        }
        Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

/// A message in a shared chat, with its answer. It has only fields that all readers of the link may
/// see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SharedMessage {
    /// The message.
    #[schema(examples("Hello!"))]
    pub message: String,
    /// The answer.
    #[schema(examples("Hello! How can I help?"))]
    pub answer: String,
    /// The name of the model that answered.
    #[schema(examples("echo"))]
    pub model: String,
    /// Why the answer is incomplete: `length`, `content_filter` or `stopped`. Missing if the
    /// answer is complete. Later releases may add values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples("length"))]
    pub cut: Option<String>,
    /// The number of the message's files, which aren't copied. Missing if it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, examples(1))]
    pub files: Option<usize>,
}

impl SharedMessage {
    /// Copies what a shared chat shows of this chat.
    pub fn of(chat: &Chat) -> Self {
        let cut = match chat.finish_reason() {
            FinishReason::Stopped => Some("stopped"),
            FinishReason::Length => Some("length"),
            FinishReason::ContentFilter => Some("content_filter"),
            FinishReason::Stop | FinishReason::ToolCalls | FinishReason::FunctionCall => None,
        };
        Self {
            message: chat.message.clone(),
            answer: without_thoughts(&chat.answer()).to_owned(),
            model: chat.model_name().to_owned(),
            cut: cut.map(str::to_owned),
            files: Some(chat.files.len()).filter(|files| *files > 0),
        }
    }

    /// Returns a copy that an earlier release has stored, without the thoughts that the release
    /// didn't recognize.
    #[must_use]
    pub fn as_shown(mut self) -> Self {
        self.answer = without_thoughts(&self.answer).to_owned();
        self
    }

    /// Returns a lower bound for the size of the message and its answer as JSON, in bytes.
    pub fn size(&self) -> usize {
        self.message.len() + self.answer.len()
    }
}

impl Limit {
    /// Returns the limit on how many chats an account may share per hour.
    pub(crate) fn shares(reset: u64) -> Self {
        Self::used_up("shares", SHARES_AN_HOUR, HOUR, reset)
    }

    /// Returns the limit on how many reports about shared chats one network may send per hour.
    pub(crate) fn reports(reset: u64) -> Self {
        Self::used_up("reports", REPORTS_AN_HOUR, HOUR, reset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_one_form_and_do_not_show_in_their_id() {
        let link = ShareLink::random().unwrap();
        let text = link.text();
        assert_eq!(ShareLink::parse(&text), Some(link.clone()));
        assert_ne!(link, ShareLink::random().unwrap());
        assert!(!format!("{link:?}").contains(&text));
        assert_ne!(link.id().replace('-', ""), text);
        assert!(uuid::Uuid::try_parse(&link.id()).is_ok());
        for bad in [
            "",
            "x",
            &"0".repeat(31),
            &"0".repeat(33),
            &"A".repeat(32),
            &format!("+{}", "1".repeat(31)),
            &format!(" {}", "1".repeat(31)),
            &"\u{e9}".repeat(16),
            &link.id(),
        ] {
            assert_eq!(ShareLink::parse(bad), None, "{bad}");
        }
        assert_eq!(ShareLink::parse(&"0".repeat(32)), Some(ShareLink([0; LINK_BYTES])));
    }

    #[test]
    fn readers_see_no_thoughts() {
        let thought = "They ask.\n</think>\n\nAn answer.".to_owned();
        let chat = Chat { response: thought.clone(), ..Chat::default() };
        assert_eq!(SharedMessage::of(&chat).answer, "An answer.");
        let stored = SharedMessage { answer: thought, ..SharedMessage::of(&chat) };
        assert_eq!(stored.as_shown().answer, "An answer.");
    }
}
