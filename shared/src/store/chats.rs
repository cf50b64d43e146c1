//! The Chats table: chats, conversations, and branches of conversations.

pub(in crate::store) mod branches;
pub(in crate::store) mod conversations;
mod folders;
pub(in crate::store) mod items;
pub(in crate::store) mod search;

pub use branches::{Branch, ChatRun};
pub use conversations::{Conversation, ConversationChange, in_context};
pub use items::{CHATS, ChatKey};
pub use search::ChatFilter;
