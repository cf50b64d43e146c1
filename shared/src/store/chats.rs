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
        let page = self
            .client
            .query()
            .table_name(&self.tables.chats)
            .key_condition_expression("user_id = :user AND chat_id < :before")
            .expression_attribute_values(":user", s(user_id))
            .expression_attribute_values(":before", s(before.unwrap_or(AFTER_ALL)))
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(i32::try_from(count).unwrap_or(i32::MAX))
            .send()
            .await?;
        let more = page.last_evaluated_key.is_some();
        let chats = page.items.unwrap_or_default().into_iter().map(from_item).collect::<Result<_>>()?;
        Ok((chats, more))
    }
}
