//! The context of a message.

use uuid::Uuid;

use crate::ai::Prompt;
use crate::values::ParentChat;

/// The messages that the AI gets before the new message.
#[derive(Clone, Debug)]
pub enum Context {
    /// Nothing, because the message begins a new conversation.
    New {
        /// The id of the new conversation's folder.
        folder: Option<String>,
    },
    /// The messages in a branch of a conversation.
    Conversation {
        /// The conversation's id.
        id: String,
        /// The message that the new message follows. `None` if it follows the newest message.
        after: Option<ParentChat>,
    },
    /// The turns in the request itself. The chat isn't part of a conversation.
    Given(Box<Prompt>),
}

impl Context {
    /// Returns the id of the folder in which the message begins a conversation.
    pub(super) fn new_folder(&self) -> Option<&str> {
        match self {
            Self::New { folder } => folder.as_deref(),
            Self::Conversation { .. } | Self::Given(_) => None,
        }
    }

    /// Returns the id of the new chat's conversation. `None` if the chat isn't part of one.
    pub(super) fn conversation(&self, chat_id: Uuid) -> Option<String> {
        match self {
            Self::New { .. } => Some(chat_id.to_string()),
            Self::Conversation { id, .. } => Some(id.clone()),
            Self::Given(_) => None,
        }
    }
}
