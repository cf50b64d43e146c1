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
//! - `t#<time of expiry>#<id>` for a [temporary] conversation

mod change;
mod charged;
mod temporary;
mod title;

use std::collections::BTreeSet;
use std::time::Instant;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::accounts::deletion::BATCH;
use crate::store::chats::items::{CHATS, NEW_CHAT};
use crate::store::read::values;
use crate::store::schema::{
    CONVERSATION, DELETED_CONVERSATION, chat_key, conversation_key, conversation_place,
    deleted_place, places_of_chats, temporary_place,
};
use crate::store::{
    Item, Result, Store, StoreError, Transaction, Write, flag, from_item, n, s, to_item,
};
use crate::values::chat::cut_title;
use crate::values::file::PICTURES_IN_PROMPT;
use crate::values::{AccessToken, Chat, FileInfo};
use crate::{Credits, Error};

pub use crate::store::chats::conversations::change::ConversationChange;

/// A character that sorts after every character in keys. A prefix followed by this character sorts
/// after every key with that prefix.
pub(in crate::store) const LAST: char = '~';

/// The maximum length of a title that earlier releases took from a message, in characters.
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
    /// The id of the conversation's folder. The folder may have been deleted:
    /// [`Store::in_existing_folders`] removes the ids of such folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The sort key in the `by_conversation` index while the conversation is pinned. New chats
    /// don't change this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pinned: Option<String>,
    /// The files in the conversation's context, each as the JSON of its [`FileInfo`]. They are a
    /// set, so that a message can add its own and a user can remove some without reading the
    /// others.
    #[serde(default, skip_serializing)]
    files: BTreeSet<String>,
    /// True if the conversation was deleted and awaits erasure. Chats can't be added to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    /// The credits that were charged for the conversation's chats, including deleted chats. `None`
    /// in a conversation that no chat has used since releases count these credits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    charged: Option<Credits>,
    /// The credits that were charged for the conversation's chats, but aren't in `charged`. `None`
    /// as long as this isn't known, so that `charged` alone may be too low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    charged_before: Option<Credits>,
    /// True if the costs of the conversation's chats aren't added up, because there are too many.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    uncounted: bool,
    /// When a temporary conversation is deleted, in seconds since 1970. `None` for a conversation
    /// that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
}

impl Conversation {
    /// Creates the conversation that a chat begins. `id` is the chat's id.
    pub(in crate::store) fn begun_by(chat: &Chat, id: &str) -> Self {
        Self {
            user_id: chat.user_id.clone(),
            chat_id: conversation_key(id),
            thread: match chat.expires_at {
                None => conversation_place(id, chat.time),
                Some(end) => temporary_place(id, end),
            },
            title: title_of(&chat.message),
            created: chat.time,
            used: chat.time,
            instructions: None,
            folder: chat.folder.clone(),
            pinned: None,
            files: BTreeSet::new(),
            deleted: false,
            charged: Some(chat.cost),
            charged_before: Some(Credits::ZERO),
            uncounted: false,
            expires_at: chat.expires_at,
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

    /// Returns true if the conversation is to be treated as deleted at `now`, in seconds since
    /// 1970. DynamoDB deletes expired items late.
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Returns the files that the AI gets with each message, oldest first. Of the pictures, only
    /// the last [`PICTURES_IN_PROMPT`] are among them.
    pub fn files(&self) -> Vec<FileInfo> {
        in_context(self.all_files())
    }

    /// Like [`Conversation::files`], but includes pictures that the AI no longer gets.
    pub fn all_files(&self) -> Vec<FileInfo> {
        self.listed_files().map(|(info, _)| info).collect()
    }

    /// Returns the conversation's files, each with the string that lists it. Skips files that a
    /// later release lists in another way.
    pub(in crate::store) fn listed_files(&self) -> impl Iterator<Item = (FileInfo, &str)> {
        self.files
            .iter()
            .filter_map(|listed| Some((serde_json::from_str(listed).ok()?, listed.as_str())))
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
    /// Returns a conversation, even if it [has expired](Conversation::is_expired). `None` if the
    /// conversation was deleted or never existed.
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

    /// Returns the chats with these ids, newest first. Skips deleted chats. The caller checks that
    /// the conversation exists.
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
            let mut found = self.chats_by_id(user_id, some).await?;
            self.expire_deleted(&mut found).await?;
            for chat in found {
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
        // A title that a model has given comes from this chat, too.
        let forget = "SET title = :none REMOVE ai_title";
        let forget = self
            .update_conversation(&chat.user_id, &chat.chat_id, forget)
            .condition("title = :given OR title = :fenced OR title = :cut OR title = ai_title")
            .values([
                (":none", s(UNTITLED)),
                (":given", s(title_of(&chat.message))),
                // The titles that earlier releases would have taken from the same chat.
                (":fenced", s(cut_title(top_line(&chat.message)))),
                (":cut", s(top_line(&chat.message).chars().take(TITLE).collect::<String>())),
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
        now: u64,
        until: Instant,
        erased: &mut usize,
    ) -> Result<bool> {
        loop {
            let (ids, _) = self.thread(user_id, id, None, BATCH).await?;
            if ids.is_empty() {
                break;
            }
            // A chat lists its files, so they are deleted first.
            let mut keys = self.files_of_chats(user_id, &ids).await?;
            self.expect_late_copies(user_id, &keys, now).await?;
            keys.extend(ids.iter().map(|id| (self.tables.chats.as_str(), chat_key(user_id, id))));
            for some in keys.chunks(BATCH) {
                if Instant::now() >= until {
                    return Ok(false);
                }
                self.delete_all(some).await?;
                *erased += some.len();
            }
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

    /// A write that stores the conversation that a chat begins, or records the use and the cost of
    /// a further chat. Each chat moves its conversation to a new position in the list, unless the
    /// conversation is pinned or temporary. `None` for a chat without a conversation.
    pub(in crate::store) fn converse(&self, chat: &Chat) -> Result<Option<Write>> {
        let Some(id) = &chat.conversation else { return Ok(None) };
        let listed: Vec<String> = chat.files.iter().map(listed_as).collect::<Result<_>>()?;
        let files = (!listed.is_empty()).then(|| AttributeValue::Ss(listed));
        if *id == chat.chat_id {
            let mut begun = to_item(Conversation::begun_by(chat, id))?;
            begun.extend(files.map(|files| ("files".to_owned(), files)));
            return Ok(Some(
                Write::put(&self.tables.chats, begun).condition(NEW_CHAT).shows_item(),
            ));
        }
        let mut set =
            "SET used = :time, charged = if_not_exists(charged, :none) + :cost".to_owned();
        let mut values = vec![(":time", n(chat.time)), (":none", n(0)), (":cost", n(chat.cost))];
        if !chat.is_temporary() {
            set.push_str(", thread = if_not_exists(pinned, :place)");
            values.push((":place", s(conversation_place(id, chat.time))));
        }
        if let Some(files) = files {
            set.push_str(" ADD files :files");
            values.push((":files", files));
        }
        let used = self.update_conversation(&chat.user_id, id, &set);
        Ok(Some(used.condition(EXISTS).values(values)))
    }

    pub(in crate::store) fn update_conversation(
        &self,
        user_id: &str,
        id: &str,
        expression: &str,
    ) -> Write {
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

    /// A query for at most `limit` of the user's items in the `by_conversation` index, in ascending
    /// order, with the sort keys from `first` to `last`. Strongly consistent.
    pub(in crate::store) fn by_conversation(
        &self,
        user_id: &str,
        first: &str,
        last: &str,
        limit: usize,
    ) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.tables.chats)
            .index_name("by_conversation")
            .key_condition_expression("user_id = :user AND thread BETWEEN :first AND :last")
            .set_expression_attribute_values(values([
                (":user", s(user_id)),
                (":first", s(first)),
                (":last", s(last)),
            ]))
            .consistent_read(true)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
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
        let query = self.by_conversation(user_id, first, before, limit).scan_index_forward(false);
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

/// Returns the string with which a conversation lists a file.
fn listed_as(file: &FileInfo) -> Result<String> {
    serde_json::to_string(file).map_err(|error| StoreError::Internal(error.to_string()))
}

/// Returns the files that the AI gets, oldest first: all texts, and the last
/// [`PICTURES_IN_PROMPT`] pictures.
pub fn in_context(mut files: Vec<FileInfo>) -> Vec<FileInfo> {
    files.sort();
    let pictures = files.iter().filter(|file| file.is_picture()).count();
    let mut old = pictures.saturating_sub(PICTURES_IN_PROMPT);
    files.retain(|file| {
        let is_old = file.is_picture() && old > 0;
        old -= usize::from(is_old);
        !is_old
    });
    files
}

/// The condition that a conversation exists and wasn't deleted.
pub(in crate::store) const EXISTS: &str =
    "attribute_exists(chat_id) AND attribute_not_exists(deleted)";

/// The title of a conversation whose first chat was deleted.
const UNTITLED: &str = "Untitled";

/// Returns the title for a conversation that this message begins: the message's first line that
/// contains text, shortened at a word boundary if it is too long. `site/chat/sidebar.js` shows the
/// same title until the API replies. Earlier releases also used code fences as titles, and the
/// first releases didn't look for a word boundary.
pub(in crate::store) fn title_of(message: &str) -> String {
    let mut lines = message.lines().map(str::trim);
    let text = lines.find(|line| !line.is_empty() && !is_fence(line));
    cut_title(text.unwrap_or_else(|| top_line(message)))
}

/// Returns true if a line is a Markdown code fence.
fn is_fence(line: &str) -> bool {
    line.starts_with("~~~")
        || (line.starts_with("```") && !line.trim_start_matches('`').contains('`'))
}

fn top_line(message: &str) -> &str {
    message.trim().lines().next().unwrap_or_default()
}

fn keys_of(user_id: &str, keys: &[String]) -> Vec<Item> {
    keys.iter().map(|key| chat_key(user_id, key)).collect()
}
