//! Reads and deletes chats in the Chats table. The `balance` module stores chats when it settles
//! them.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Deserialize;

use crate::clock::Day;
use crate::store::read::{names, page};
use crate::store::schema::{CHAT_SHARDS, CONVERSATION, chat_key, conversation_key};
use crate::store::timeline::Timeline;
use crate::store::{DataPeriod, Item, PageStart, Result, Store, Write, from_item, is_id};
use crate::values::Chat;

/// How many chats, across all users, are read at a time. Even if all of them have the maximum size,
/// they take up only a few megabytes.
pub const CHATS: usize = 25;

/// The condition for a put that must not replace a chat or conversation.
pub(in crate::store) const NEW_CHAT: &str = "attribute_not_exists(chat_id)";

/// The attributes of a chat that lists show. Lists don't read the other attributes, because that
/// would take longer.
const SHOWN: &str = "chat_id, conversation, thread, message, files, #response, reasoning, calls, model, cut, stopped, receipt, #usage, #cost, #time, #name, expires_at";

/// Placeholders for the attributes in [`SHOWN`] with names that DynamoDB reserves.
const SHOWN_NAMES: [(&str, &str); 5] = [
    ("#response", "response"),
    ("#usage", "usage"),
    ("#cost", "cost"),
    ("#time", "time"),
    ("#name", "name"),
];

/// A chat's primary key, as read from the `by_time` index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct ChatKey {
    user_id: String,
    chat_id: String,
}

/// The `expires_at` of a chat whose conversation was deleted: it expired long ago.
const DELETED: u64 = 0;

/// A chat's id and message.
#[derive(Deserialize)]
struct ChatMessage {
    chat_id: String,
    #[serde(default)]
    conversation: Option<String>,
    message: String,
    #[serde(default)]
    expires_at: Option<u64>,
}

/// A conversation, which may await erasure.
#[derive(Deserialize)]
struct StoredConversation {
    #[serde(flatten)]
    key: ChatKey,
    #[serde(default)]
    deleted: bool,
}

impl ChatKey {
    /// Creates the key of a user's chat.
    pub fn new(user_id: &str, chat_id: &str) -> Self {
        Self { user_id: user_id.to_owned(), chat_id: chat_id.to_owned() }
    }

    /// Returns the key of the user's chat with this id. `None` if the text isn't an id.
    pub fn parse(user_id: &str, chat_id: &str) -> Option<Self> {
        is_id(chat_id).then(|| Self::new(user_id, chat_id))
    }

    fn of(chat: &Chat) -> Self {
        Self::new(&chat.user_id, &chat.chat_id)
    }
}

impl Store {
    /// Returns one of the user's chats, even if it [has expired](Chat::is_expired). Strongly
    /// consistent.
    pub async fn chat(&self, user_id: &str, chat_id: &str) -> Result<Option<Chat>> {
        let mut chat = self.stored_chat(user_id, chat_id).await?;
        self.expire_deleted(chat.as_mut_slice()).await?;
        Ok(chat)
    }

    /// Returns one of the user's chats, even if it has expired or its conversation was deleted.
    pub(in crate::store) async fn stored_chat(
        &self,
        user_id: &str,
        chat_id: &str,
    ) -> Result<Option<Chat>> {
        self.get(&self.tables.chats, chat_key(user_id, chat_id)).await
    }

    /// Marks the chats whose conversation was deleted as [expired](Chat::is_expired), so that no
    /// reader shows them while they wait to be erased. Strongly consistent.
    pub(in crate::store) async fn expire_deleted(&self, chats: &mut [Chat]) -> Result<()> {
        let of_conversations = chats.iter().filter_map(|chat| {
            Some((ChatKey::of(chat), conversation_key(chat.conversation.as_ref()?)))
        });
        let deleted = self.deleted(of_conversations.collect()).await?;
        for chat in chats {
            if deleted.contains(&ChatKey::of(chat)) {
                chat.expires_at = Some(DELETED);
            }
        }
        Ok(())
    }

    /// Returns those of the chats, each given with its conversation's key, whose conversation was
    /// deleted. Strongly consistent.
    ///
    /// A conversation is erased after its chats. So the chats of a missing conversation may have
    /// been erased after they were read; if they still exist, they weren't deleted.
    async fn deleted(&self, chats: Vec<(ChatKey, String)>) -> Result<HashSet<ChatKey>> {
        let of_user =
            |(chat, conversation): &(ChatKey, String)| ChatKey::new(&chat.user_id, conversation);
        let wanted = chats.iter().map(of_user).collect();
        let found =
            self.parts_with(wanted, "user_id, chat_id, deleted").await?.into_iter().map(from_item);
        let found: HashMap<ChatKey, bool> = found
            .map(|found| found.map(|StoredConversation { key, deleted }| (key, deleted)))
            .collect::<Result<_>>()?;
        let (mut deleted, mut orphans) = (HashSet::new(), HashSet::new());
        for chat in chats {
            match found.get(&of_user(&chat)) {
                Some(true) => deleted.insert(chat.0),
                Some(false) => false,
                None => orphans.insert(chat.0),
            };
        }
        let existing = self.parts_with(orphans.clone(), "user_id, chat_id").await?;
        for chat in existing {
            orphans.remove(&from_item::<ChatKey>(chat)?);
        }
        deleted.extend(orphans);
        Ok(deleted)
    }

    /// Returns these attributes of the items with these keys, in any order. Strongly consistent.
    async fn parts_with(&self, wanted: HashSet<ChatKey>, attributes: &str) -> Result<Vec<Item>> {
        let wanted = wanted.iter().map(|key| chat_key(&key.user_id, &key.chat_id)).collect();
        self.parts_of_items(&self.tables.chats, wanted, Some(attributes)).await
    }

    /// Returns the messages of at most 100 of the user's chats, keyed by chat id. Skips deleted and
    /// temporary chats.
    pub async fn messages<'a>(
        &self,
        user_id: &str,
        chat_ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<HashMap<String, String>> {
        let chat_ids: BTreeSet<&str> = chat_ids.into_iter().collect();
        let wanted = chat_ids.into_iter().map(|id| chat_key(user_id, id)).collect();
        let shown = Some("chat_id, conversation, message, expires_at");
        let found = self.parts_of_items(&self.tables.chats, wanted, shown).await?;
        let found = found.into_iter().map(from_item::<ChatMessage>);
        let mut chats: Vec<ChatMessage> = found.collect::<Result<_>>()?;
        chats.retain(|chat| chat.expires_at.is_none());
        let of_conversations = chats.iter().filter_map(|chat| {
            let conversation = conversation_key(chat.conversation.as_ref()?);
            Some((ChatKey::new(user_id, &chat.chat_id), conversation))
        });
        let deleted = self.deleted(of_conversations.collect()).await?;
        chats.retain(|chat| !deleted.contains(&ChatKey::new(user_id, &chat.chat_id)));
        Ok(chats.into_iter().map(|chat| (chat.chat_id, chat.message)).collect())
    }

    /// Deletes a chat and its files. If the conversation's title was taken from this chat, the
    /// title is reset. Chats that followed the deleted chat now follow its parent. The ledger keeps
    /// the cost of the deleted chat.
    pub async fn delete_chat(&self, chat: &Chat) -> Result<()> {
        if !chat.files.is_empty() {
            self.leave_with(chat).await?;
        }
        if chat.conversation.as_ref() == Some(&chat.chat_id) {
            self.forget_title_of(chat).await?;
        }
        self.relink_followers(chat).await?;
        if !chat.files.is_empty() {
            return self.delete_with_files(chat).await;
        }
        let key = chat_key(&chat.user_id, &chat.chat_id);
        self.send(&Write::delete(&self.tables.chats, key)).await.map(drop)
    }

    /// Returns the user's chats that are older than the chat `before`, newest first (at most
    /// `count`). Also returns whether there may be more. The page may be shorter than `count`,
    /// because DynamoDB also stops at 1 MB. Includes temporary chats, which lists must not show.
    /// The chats contain only the attributes that lists show.
    /// They lack, for example, the balance after the chat and the partition in the `by_time` index.
    pub async fn chats(
        &self,
        user_id: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<Chat>, bool)> {
        let (keys, before) =
            ("user_id = :user AND chat_id < :before", before.unwrap_or(CONVERSATION));
        let query = self
            .newest_first(&self.tables.chats, keys, user_id, before, count)
            .projection_expression(SHOWN)
            .set_expression_attribute_names(names(SHOWN_NAMES));
        let (chats, more): (Vec<Chat>, bool) = page(query).await?;
        let of_user = |chat| Chat { user_id: user_id.to_owned(), ..chat };
        let mut chats: Vec<Chat> = chats.into_iter().map(of_user).collect();
        self.expire_deleted(&mut chats).await?;
        Ok((chats, more))
    }

    /// Returns the keys of at most `count` chats, across all users, newest first, starting at
    /// `start`. Also returns where the next page begins.
    pub async fn all_chats(
        &self,
        start: Option<&PageStart>,
        period: DataPeriod,
        count: usize,
    ) -> Result<(Vec<ChatKey>, Option<PageStart>)> {
        let (found, next) = self.newest(self.chats_by_time(), start, period, count).await?;
        Ok((found.into_iter().map(from_item).collect::<Result<_>>()?, next))
    }

    /// Returns the chats with these keys, in the same order, totaling at most `size` bytes. A first
    /// chat that is larger is returned alone. Also returns where the next page begins, if there are
    /// more chats. Skips deleted chats.
    pub async fn chats_within(
        &self,
        keys: &[ChatKey],
        size: usize,
    ) -> Result<(Vec<Chat>, Option<PageStart>)> {
        let (mut chats, mut taken) = (Vec::new(), 0);
        for some in keys.chunks(CHATS) {
            for chat in self.chats_with(some).await? {
                taken += chat.size();
                if taken > size && !chats.is_empty() {
                    let last =
                        chats.last().map(|last: &Chat| PageStart::Before(last.chat_id.clone()));
                    return Ok((chats, last));
                }
                chats.push(chat);
            }
        }
        Ok((chats, None))
    }

    /// Returns a page of one day's chat keys, oldest first, starting after the id `after`. Also
    /// returns the page's last id, if there may be more chats.
    pub async fn chats_of_day(
        &self,
        day: Day,
        after: Option<&str>,
    ) -> Result<(Vec<ChatKey>, Option<String>)> {
        let list = self.chats_by_time();
        self.of_day(list, &list.partitions(&day.month()), day, after).await
    }

    fn chats_by_time(&self) -> Timeline<'_> {
        Timeline {
            table: &self.tables.chats,
            index: "by_time",
            partition: "month",
            id: "chat_id",
            shards: CHAT_SHARDS,
        }
    }

    /// Returns the chats with these keys (at most [`CHATS`]), in the same order. Skips deleted
    /// chats. Strongly consistent.
    pub async fn chats_with(&self, keys: &[ChatKey]) -> Result<Vec<Chat>> {
        let wanted = keys.iter().map(|key| chat_key(&key.user_id, &key.chat_id)).collect();
        let found =
            self.items(&self.tables.chats, wanted).await?.into_iter().map(from_item::<Chat>);
        let mut found: HashMap<String, Chat> = found
            .map(|chat| chat.map(|chat| (chat.chat_id.clone(), chat)))
            .collect::<Result<_>>()?;
        let mut chats: Vec<Chat> =
            keys.iter().filter_map(|key| found.remove(&key.chat_id)).collect();
        self.expire_deleted(&mut chats).await?;
        Ok(chats)
    }
}
