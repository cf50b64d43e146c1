//! Chats as they are stored.

use dynoxide::{AttributeValue, Item};
use serde_json::Value;

use super::tables::{Tables, flag, number, plain, text};

/// A chat as it is stored.
pub struct StoredChat {
    pub message: String,
    pub answer: String,
    pub cost: i64,
    pub tokens_left: i64,
    /// The conversation that contains the chat. `None` if the chat is in no conversation.
    pub conversation: Option<String>,
    /// The id of the chat that this chat follows. `None` if the item contains no id of an earlier
    /// chat.
    pub follows: Option<String>,
    /// Why the answer ended, as its `finish_reason`.
    pub end: &'static str,
    item: Item,
}

impl StoredChat {
    pub fn read(tables: &Tables, user_id: &str, chat_id: &str) -> Option<Self> {
        let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", chat_id)])?;
        Some(Self {
            message: text(&item, "message"),
            answer: text(&item, "response"),
            cost: number(&item, "cost"),
            tokens_left: number(&item, "tokens_left"),
            conversation: Some(text(&item, "conversation")).filter(|id| !id.is_empty()),
            follows: text(&item, "thread").split('#').nth(2).map(str::to_owned),
            end: match text(&item, "cut").as_str() {
                "" => "stop",
                _ if flag(&item, "stopped") => "stopped",
                _ => "length",
            },
            item,
        })
    }

    /// Returns the reasoning, which has at most one part.
    pub fn thought(&self) -> String {
        thought(&self.plain()).to_owned()
    }

    /// Returns the whole item as plain JSON.
    pub fn plain(&self) -> Value {
        plain(&AttributeValue::M(self.item.clone()))
    }
}

/// Returns the reasoning in a chat's plain JSON.
pub fn thought(chat: &Value) -> &str {
    chat["reasoning"][0]["text"].as_str().unwrap_or_default()
}

/// Returns a chat's ledger row as plain JSON. Null if there is no such row.
pub fn stored_row(tables: &Tables, user_id: &str, chat_id: &str) -> Value {
    let item = tables.item("LedgerTable", &[("user_id", user_id), ("entry_id", chat_id)]);
    item.map_or(Value::Null, |item| plain(&AttributeValue::M(item)))
}

/// Returns true if a conversation exists.
pub fn conversation_exists(tables: &Tables, user_id: &str, id: &str) -> bool {
    let item = tables.item("ChatsTable", &[("user_id", user_id), ("chat_id", &format!("c#{id}"))]);
    item.is_some_and(|item| !item.contains_key("deleted"))
}
