//! Conversations, stored in the Chats table next to their chats: titles, sorting by last use, pins,
//! and deletion.
//!
//! A conversation's sort key in the table is `c#<id>`. The `by_conversation` index, whose reads are
//! strongly consistent, contains these sort keys:
//!
//! - `<conversation>#<chat id>` for a chat, followed by its parent if it is in a
//!   [branch](super::branches)
//! - `c#<time of last use>#<id>` for a conversation
//! - `c#p<time of pinning>#<id>` for a pinned conversation
//! - `d#<id>` for a conversation that awaits erasure

mod change;

use std::time::Instant;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::store::accounts::deletion::BATCH;
use crate::store::chats::items::{CHATS, NEW_CHAT};
use crate::store::read::values;
use crate::store::schema::{
    CONVERSATION, DELETED_CONVERSATION, chat_key, conversation_key, conversation_place,
    deleted_place, places_of_chats,
};
use crate::store::{
    Item, Result, Store, StoreError, Transaction, Write, flag, from_item, n, s, to_item,
};
use crate::values::{AccessToken, Chat};

pub use crate::store::chats::conversations::change::ConversationChange;

/// A character that sorts after every character in keys. A prefix followed by this character sorts
/// after every key with that prefix.
pub(in crate::store) const LAST: char = '~';

/// The maximum length of a title that is taken from a message, in characters.
const TITLE: usize = 80;

/// A conversation, as the Chats table stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The account's id.
    user_id: String,
    /// `c#<id>`.
    chat_id: String,
    /// The sort key in the `by_conversation` index.
    thread: String,
    /// The title.
    pub title: String,
    /// When the conversation began, in milliseconds since 1970.
    pub created: u64,
    /// When the conversation's newest stored chat began, in milliseconds since 1970.
    pub used: u64,
    /// The user's instructions for the AI in this conversation. They are stored in this item,
    /// because every chat in the conversation reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The sort key in the `by_conversation` index while the conversation is pinned. New chats
    /// don't change this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned: Option<String>,
    /// True if the conversation was deleted and awaits erasure. Chats can't be added to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

impl Conversation {
    /// Creates the conversation that a chat begins. `id` is the chat's id.
    fn begun_by(chat: &Chat, id: &str) -> Self {
        Self {
            user_id: chat.user_id.clone(),
            chat_id: conversation_key(id),
            thread: conversation_place(id, chat.time),
            title: title_of(chat),
            created: chat.time,
            used: chat.time,
            instructions: None,
            pinned: None,
            deleted: false,
        }
    }

    /// Returns the id, which is the table's sort key without its prefix.
    pub fn id(&self) -> &str {
        self.chat_id.strip_prefix(CONVERSATION).unwrap_or_default()
    }

    /// Returns the conversation's position in the list of conversations.
    pub fn place(&self) -> &str {
        &self.thread
    }

    /// Returns true if the conversation is pinned. Lists show pinned conversations first.
    pub fn is_pinned(&self) -> bool {
        self.pinned.is_some()
    }
}

/// An item in the `by_conversation` index.
#[derive(Deserialize)]
pub(in crate::store) struct IndexedKey {
    /// The item's sort key in the table.
    pub(in crate::store) chat_id: String,
    /// The item's sort key in the index.
    pub(in crate::store) thread: String,
}

impl Store {
    /// Returns a conversation. `None` if the conversation was deleted or never existed.
    pub async fn conversation(&self, user_id: &str, id: &str) -> Result<Option<Conversation>> {
        let key = chat_key(user_id, &conversation_key(id));
        let conversation: Option<Conversation> = self.get(&self.tables.chats, key).await?;
        Ok(conversation.filter(|conversation| !conversation.deleted))
    }

    /// Returns the keys of at most `count` of the user's conversations, starting after the position
    /// `before`. Also returns whether there are more. Pinned conversations come first, most
    /// recently pinned first. Other conversations follow, most recently used first.
    pub async fn conversation_keys(
        &self,
        user_id: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<String>, bool)> {
        self.index_keys(user_id, CONVERSATION, before, count).await
    }

    /// Returns the conversations with these keys, in the same order. Skips erased conversations.
    pub async fn conversations(&self, user_id: &str, keys: &[String]) -> Result<Vec<Conversation>> {
        let found = self.items(&self.tables.chats, keys_of(user_id, keys)).await?;
        let mut found: Vec<Conversation> =
            found.into_iter().map(from_item).collect::<Result<_>>()?;
        found.sort_by(|one, other| other.thread.cmp(&one.thread));
        Ok(found)
    }

    /// Returns the ids of the conversation's chats that are older than the chat `before`, newest
    /// first (at most `count`). Also returns whether there are more.
    pub async fn thread(
        &self,
        user_id: &str,
        id: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<String>, bool)> {
        let prefix = places_of_chats(id);
        let before = before.map(|before| format!("{prefix}{before}"));
        self.index_keys(user_id, &prefix, before.as_deref(), count).await
    }

    /// Returns the chats with these ids, newest first. Skips deleted chats.
    pub async fn chats_by_id(&self, user_id: &str, ids: &[String]) -> Result<Vec<Chat>> {
        let found = self.items(&self.tables.chats, keys_of(user_id, ids)).await?;
        let mut found: Vec<Chat> = found.into_iter().map(from_item).collect::<Result<_>>()?;
        found.sort_by(|one, other| other.chat_id.cmp(&one.chat_id));
        Ok(found)
    }

    /// Like [`Store::chats_by_id`], but stops before the chats exceed `size` bytes in total. Also
    /// returns whether chats were omitted.
    pub async fn chats_by_id_within(
        &self,
        user_id: &str,
        ids: &[String],
        size: usize,
    ) -> Result<(Vec<Chat>, bool)> {
        let (mut chats, mut taken) = (Vec::new(), 0);
        for some in ids.chunks(CHATS) {
            for chat in self.chats_by_id(user_id, some).await? {
                taken += chat.size();
                if taken > size && !chats.is_empty() {
                    return Ok((chats, true));
                }
                chats.push(chat);
            }
        }
        Ok((chats, false))
    }

    /// Resets a conversation's title, if it is still the title that was taken from the
    /// conversation's first chat, `chat`.
    pub(in crate::store) async fn forget_title_of(&self, chat: &Chat) -> Result<()> {
        let forget = self
            .update_conversation(&chat.user_id, &chat.chat_id, "SET title = :none")
            .condition("title = :given OR title = :fenced OR title = :cut")
            .values([
                (":none", s(UNTITLED)),
                (":given", s(title_of(chat))),
                // The titles that earlier releases would have taken from the same chat.
                (":fenced", s(cut(top_line(chat)))),
                (":cut", s(top_line(chat).chars().take(TITLE).collect::<String>())),
            ]);
        self.send(&forget).await.map(drop)
    }

    /// Deletes one of the caller's conversations. From then on, chats can't be added to it, and
    /// lists don't show it. [`Store::erase_conversation`] erases the chats later; until then, the
    /// account is in the `erasing` index.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`], and [`Error::NoSuchConversation`] if the conversation doesn't
    /// exist.
    pub async fn delete_conversation(
        &self,
        caller: &AccessToken,
        id: &str,
        now: u64,
    ) -> Result<()> {
        let end = self
            .update_conversation(&caller.user_id, id, "SET deleted = :true, thread = :place")
            .condition(EXISTS)
            .values([(":true", flag(true)), (":place", s(deleted_place(id)))]);
        let account = self.update_caller(caller, "SET erasing = :now").values([(":now", n(now))]);
        match self.transact(vec![account, end], &Uuid::new_v4().to_string()).await? {
            Transaction::Applied => Ok(()),
            Transaction::Refused(refusals) if refusals.has(0) => Err(StoreError::NotAccepted),
            Transaction::Refused(_) => Err(StoreError::Refused(Error::NoSuchConversation)),
        }
    }

    /// Erases the chats of a deleted conversation, and then the conversation itself. Returns
    /// `false` if the erasure isn't complete at `until`; the next call continues where this call
    /// stopped. Idempotent.
    pub async fn erase_conversation(
        &self,
        user_id: &str,
        id: &str,
        until: Instant,
        erased: &mut usize,
    ) -> Result<bool> {
        loop {
            let (ids, _) = self.thread(user_id, id, None, BATCH).await?;
            let keys: Vec<(&str, Item)> =
                ids.iter().map(|id| (self.tables.chats.as_str(), chat_key(user_id, id))).collect();
            if keys.is_empty() {
                break;
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            self.delete_all(&keys).await?;
            *erased += keys.len();
        }
        self.delete_all(&[(self.tables.chats.as_str(), chat_key(user_id, &conversation_key(id)))])
            .await?;
        *erased += 1;
        Ok(true)
    }

    /// Returns the ids of some of the user's conversations that await erasure.
    pub(in crate::store) async fn deleted_conversations(
        &self,
        user_id: &str,
    ) -> Result<Vec<String>> {
        let (keys, _) = self.index_keys(user_id, DELETED_CONVERSATION, None, BATCH).await?;
        Ok(keys
            .iter()
            .filter_map(|key| key.strip_prefix(CONVERSATION))
            .map(str::to_owned)
            .collect())
    }

    /// A write that stores the conversation that a chat begins, or records the use of an existing
    /// conversation. Each chat moves its conversation to a new position in the list, unless the
    /// conversation is pinned. `None` for a chat without a conversation.
    pub(in crate::store) fn converse(&self, chat: &Chat) -> Result<Option<Write>> {
        let Some(id) = &chat.conversation else { return Ok(None) };
        if *id == chat.chat_id {
            let begun = to_item(Conversation::begun_by(chat, id))?;
            return Ok(Some(
                Write::put(&self.tables.chats, begun).condition(NEW_CHAT).shows_item(),
            ));
        }
        let used = self
            .update_conversation(
                &chat.user_id,
                id,
                "SET used = :time, thread = if_not_exists(pinned, :place)",
            )
            .condition(EXISTS)
            .values([(":time", n(chat.time)), (":place", s(conversation_place(id, chat.time)))]);
        Ok(Some(used))
    }

    fn update_conversation(&self, user_id: &str, id: &str, expression: &str) -> Write {
        Write::update(&self.tables.chats, chat_key(user_id, &conversation_key(id)), expression)
    }

    /// Returns the table sort keys of at most `count` index items, in descending order. Also
    /// returns whether there are more. The items' sort keys in the index begin with `prefix` and
    /// are less than `before`.
    async fn index_keys(
        &self,
        user_id: &str,
        prefix: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<String>, bool)> {
        let last = format!("{prefix}{LAST}");
        let before = before.unwrap_or(&last);
        // Read one more item: either the item at `before`, which is skipped, or an item that shows
        // that there are more.
        let (found, later) = self.indexed(user_id, prefix, before, count + 1).await?;
        let more = later || found.len() > count;
        Ok((found.into_iter().take(count).map(|found| found.chat_id).collect(), more))
    }

    /// Reads at most `limit` index items in descending order, from the sort key `before` down to
    /// `first`. Omits the item at `before`. Also returns whether there may be more.
    pub(in crate::store) async fn indexed(
        &self,
        user_id: &str,
        first: &str,
        before: &str,
        limit: usize,
    ) -> Result<(Vec<IndexedKey>, bool)> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.chats)
            .index_name("by_conversation")
            .key_condition_expression("user_id = :user AND thread BETWEEN :first AND :last")
            .set_expression_attribute_values(values([
                (":user", s(user_id)),
                (":first", s(first)),
                (":last", s(before)),
            ]))
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query.send().await?;
        let mut found = Vec::new();
        for item in page.items.unwrap_or_default() {
            let key: IndexedKey = from_item(item)?;
            if key.thread != before {
                found.push(key);
            }
        }
        Ok((found, page.last_evaluated_key.is_some()))
    }
}

/// The condition that a conversation exists and wasn't deleted.
const EXISTS: &str = "attribute_exists(chat_id) AND attribute_not_exists(deleted)";

/// The title of a conversation whose first chat was deleted.
const UNTITLED: &str = "Untitled";

/// Returns the title for a conversation that this chat begins: the message's first line that
/// contains text, shortened at a word boundary if it is too long. `site/chat/sidebar.js` shows the
/// same title until the API replies. Earlier releases also used code fences as titles, and the
/// first releases didn't look for a word boundary.
fn title_of(chat: &Chat) -> String {
    let mut lines = chat.message.lines().map(str::trim);
    let text = lines.find(|line| !line.is_empty() && !is_fence(line));
    cut(text.unwrap_or_else(|| top_line(chat)))
}

/// Returns true if a line is a Markdown code fence.
fn is_fence(line: &str) -> bool {
    line.starts_with("~~~")
        || (line.starts_with("```") && !line.trim_start_matches('`').contains('`'))
}

/// Shortens a line to the length of a title, at a word boundary.
fn cut(line: &str) -> String {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= TITLE {
        return line;
    }
    let cut: String = line.chars().take(TITLE - 1).collect();
    let words = cut.rsplit_once(' ').map(|(words, _)| words);
    let words = words.filter(|words| words.chars().count() >= TITLE / 2).unwrap_or(&cut);
    format!("{words}…")
}

fn top_line(chat: &Chat) -> &str {
    chat.message.trim().lines().next().unwrap_or_default()
}

fn keys_of(user_id: &str, keys: &[String]) -> Vec<Item> {
    keys.iter().map(|key| chat_key(user_id, key)).collect()
}
