//! What precedes a message.

use crate::ai::Prompt;
use crate::values::ParentChat;

/// The conversation before a message.
#[derive(Clone, Debug)]
pub enum Context {
    /// No conversation: the message begins a new one.
    New,
    /// A branch of a conversation.
    Conversation {
        /// The conversation's id.
        id: String,
        /// The message that the new message follows. `None` for the newest message.
        after: Option<ParentChat>,
    },
    /// The turns in the request. The chat belongs to no conversation.
    Given(Box<Prompt>),
}
