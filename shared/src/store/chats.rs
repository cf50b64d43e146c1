//! The table Chats: reading it. Chats are written when they are settled, in `accounts`.

use super::{Store, from_item, s};
use crate::Result;
use crate::chat::Chat;

/// Sorts after every chat id. (Items of other kinds in the same partition begin with it.)
const AFTER_ALL: &str = "c#";

impl Store {
    /// One chat of a user.
    pub async fn chat(&self, user_id: &str, chat_id: &str) -> Result<Option<Chat>> {
        let get = self.client.get_item().table_name(&self.tables.chats).key("user_id", s(user_id)).key("chat_id", s(chat_id));
        get.consistent_read(true).send().await?.item.map(from_item).transpose()
    }

    /// At most `count` chats of a user, newest first, older than the chat `before`; and whether DynamoDB stopped before the last one,
    /// which it does at 1 MB too.
    pub async fn chats(&self, user_id: &str, before: Option<&str>, count: usize) -> Result<(Vec<Chat>, bool)> {
        self.newest_first(&self.tables.chats, "user_id = :user AND chat_id < :before", user_id, before.unwrap_or(AFTER_ALL), count).await
    }
}
