//! Shared chats.

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock;
use crate::store::Share;
use crate::values::SharedMessage;

/// A shared chat as its author sees it.
#[derive(Serialize, ToSchema)]
pub struct OwnShare<'a> {
    /// The id, under which the author can end the shared chat.
    #[schema(format = "uuid", examples("8f14e45f-ceea-867a-9c41-0d5b8c1f7a36"))]
    id: &'a str,
    /// The link. Everybody who knows it can read the shared chat at `/s/{link}`.
    #[schema(pattern = "^[0-9a-f]{32}$", examples("5f2a9c0e7b1d4836a0c58e12d7f3b649"))]
    link: &'a str,
    /// The conversation's title when it was shared.
    #[schema(examples("Hello!"))]
    title: &'a str,
    /// The username that readers see. Null if they don't see any.
    #[schema(required, examples("ann"))]
    author: Option<&'a str>,
    /// The id of the conversation, which may have been deleted.
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    conversation_id: &'a str,
    /// The number of messages.
    #[schema(examples(2))]
    messages: u32,
    /// When the chat was shared.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    shared: String,
}

impl<'a> OwnShare<'a> {
    /// Creates the view of this shared chat.
    pub fn of(share: &'a Share) -> Self {
        Self {
            id: share.id(),
            link: &share.link,
            title: &share.title,
            author: share.author.as_deref(),
            conversation_id: &share.conversation,
            messages: share.messages,
            shared: clock::rfc3339(share.time),
        }
    }
}

/// A shared chat with its messages, as its author exports it.
#[derive(Serialize, ToSchema)]
pub struct ExportedShare<'a> {
    /// The id, under which the author can end the shared chat.
    #[schema(format = "uuid", examples("8f14e45f-ceea-867a-9c41-0d5b8c1f7a36"))]
    id: &'a str,
    /// The link. Everybody who knows it can read the shared chat at `/s/{link}`.
    #[schema(pattern = "^[0-9a-f]{32}$", examples("5f2a9c0e7b1d4836a0c58e12d7f3b649"))]
    link: &'a str,
    /// The id of the conversation, which may have been deleted.
    #[schema(format = "uuid", examples("01a1f7d1-6dfe-72fe-b1ec-f6dbb6c80342"))]
    conversation_id: &'a str,
    /// What readers see.
    chat: SharedChat<'a>,
}

impl<'a> ExportedShare<'a> {
    /// Creates the view of this shared chat.
    pub fn of(share: &'a Share, messages: &'a [SharedMessage]) -> Self {
        Self {
            id: share.id(),
            link: &share.link,
            conversation_id: &share.conversation,
            chat: SharedChat::of(share, messages),
        }
    }
}

/// A shared chat as its readers see it. It has no field that only its author may see.
#[derive(Serialize, ToSchema)]
pub struct SharedChat<'a> {
    /// The conversation's title when it was shared.
    #[schema(examples("Hello!"))]
    title: &'a str,
    /// The author's username. Null if the author doesn't show it.
    #[schema(required, examples("ann"))]
    author: Option<&'a str>,
    /// When the chat was shared.
    #[schema(format = "date-time", examples("2026-11-20T07:17:39.995Z"))]
    shared: String,
    /// The messages with their answers, oldest first.
    messages: &'a [SharedMessage],
}

impl<'a> SharedChat<'a> {
    /// Creates the view of this shared chat.
    pub fn of(share: &'a Share, messages: &'a [SharedMessage]) -> Self {
        Self {
            title: &share.title,
            author: share.author.as_deref(),
            shared: clock::rfc3339(share.time),
            messages,
        }
    }
}
