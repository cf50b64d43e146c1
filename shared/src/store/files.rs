//! The Files table: the pictures and texts that users attach to messages.
//!
//! A file's id begins with the id of its chat, and the chat lists its files. A chat's files are
//! written before the chat. While files are stored and their chat isn't, the item `pending:<chat
//! id>` in the Tokens table lists them. The transaction that stores the chat with its files deletes
//! this item, and the transaction that deletes a chat with files adds it. If the function dies while
//! the item exists, the sweep finds the item and deletes the files. The item is in the Tokens table
//! because large writes may use up the capacity of a partition of the Files table, and no settle
//! should wait for them.
//!
//! The files of a temporary chat carry its `expires_at`. DynamoDB's TTL deletes those that `erase`
//! has missed, even after it has deleted their chat.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::millis_of;
use crate::store::accounts::deletion::BATCH;
use crate::store::chats::conversations::EXISTS;
use crate::store::read::values;
use crate::store::schema::{CONVERSATION, PENDING, chat_key, file_key, pending_pk, pk};
use crate::store::{
    Hold, Item, NEW, Result, Store, StoreError, Write, files_of, from_item, n, s, text, to_item,
};
use crate::values::file::{FILES_OF_MESSAGE, chat_of, file_id};
use crate::values::{Chat, File, FileContent, FileInfo};

/// How long after the end of its lease a message's files are kept, in seconds. A copy of a write
/// that the function sent may still arrive until then.
const LATE: u64 = 60;

/// How long the item that lists the files stays after the message began, in seconds. No lease is
/// longer, and no copy of a write arrives later.
const LISTED_SECONDS: u64 = 3600;

/// The end of the lease of a deleted message. It is so long ago that the next sweep deletes the
/// message's files.
const DELETED: u64 = 1;

/// The sweep skips messages that are younger than this, in milliseconds. No lease is shorter.
const YOUNGEST: u64 = 30_000;

/// The attribute with a file's content: bytes for a picture, otherwise a string.
const CONTENT: &str = "content";

/// The attribute that only files of temporary chats have.
const EXPIRES: &str = "expires_at";

/// How many files' contents are read at a time. Even the largest take up only a few megabytes.
pub const FILES: usize = 10;

/// The item that lists the files of a message until the message is stored.
#[derive(Serialize, Deserialize)]
struct Pending {
    pk: String,
    /// [`PENDING`], the partition in the `by_user` index.
    user_id: String,
    /// The id of the account that sent the message.
    owner: String,
    /// How many files the message has.
    files: usize,
    /// When the lease of the message's hold ends, in seconds since 1970. [`DELETED`] if the message
    /// was stored and then deleted. 0 once the sweep has begun to delete the files.
    until: u64,
}

impl Pending {
    fn new(chat_id: &str, owner: &str, files: usize, until: u64) -> Self {
        let (pk, user_id) = (pending_pk(chat_id), PENDING.to_owned());
        Self { pk, user_id, owner: owner.to_owned(), files, until }
    }
}

/// Returns when the message of a [`Pending`] item began, in milliseconds since 1970.
fn began(item: &Item) -> u64 {
    text(item, "pk").strip_prefix(PENDING).and_then(millis_of).unwrap_or_default()
}

/// Returns a file as the Files table stores it.
fn item_of(file: &File) -> Item {
    let content = match &file.content {
        FileContent::Text(text) => s(text),
        FileContent::Picture(bytes) => AttributeValue::B(Blob::new(bytes.clone())),
    };
    let mut item = file_key(&file.info.id);
    item.extend([
        ("user_id".to_owned(), s(&file.user_id)),
        ("name".to_owned(), s(&file.info.name)),
        ("type".to_owned(), s(&file.info.kind)),
        ("bytes".to_owned(), n(file.info.bytes)),
        (CONTENT.to_owned(), content),
    ]);
    item.extend(file.info.tokens.map(|tokens| ("tokens".to_owned(), n(tokens))));
    item.extend(file.expires_at.map(|end| (EXPIRES.to_owned(), n(end))));
    item
}

/// Reads an item of the Files table.
fn file_of(mut item: Item) -> Result<File> {
    let unreadable = || StoreError::Internal("a file without its content".into());
    let content = match item.remove(CONTENT).ok_or_else(unreadable)? {
        AttributeValue::S(text) => FileContent::Text(text),
        AttributeValue::B(bytes) => FileContent::Picture(bytes.into_inner()),
        _ => return Err(unreadable()),
    };
    let user_id = text(&item, "user_id").to_owned();
    let expires_at = item.get(EXPIRES).and_then(|end| end.as_n().ok()?.parse().ok());
    item.insert("id".to_owned(), s(text(&item, "pk")));
    Ok(File { user_id, info: from_item(item)?, content, expires_at })
}

impl Store {
    /// Returns one of the user's files, even if it [has expired](File::is_expired). `None` if it or
    /// its chat was deleted or never existed.
    pub async fn file(&self, user_id: &str, id: &str) -> Result<Option<File>> {
        let get = self.client.get_item().table_name(&self.tables.files);
        let get = get.set_key(Some(file_key(id))).consistent_read(true);
        let file = async { get.send().await?.item.map(file_of).transpose() };
        let (file, chat) = tokio::try_join!(file, self.chat(user_id, chat_of(id)))?;
        let file = file.filter(|file| file.user_id == user_id);
        Ok(file.zip(chat).map(|(file, chat)| File { expires_at: chat.expires_at, ..file }))
    }

    /// Returns the user's files with these ids, in the order of their ids. Skips deleted files. A
    /// conversation may list hundreds, if messages were sent in parallel.
    pub async fn files(&self, user_id: &str, ids: &[String]) -> Result<Vec<File>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let keys = ids.iter().map(|id| file_key(id)).collect();
        let found = self.items(&self.tables.files, keys).await?;
        let mut files: Vec<File> = found.into_iter().map(file_of).collect::<Result<_>>()?;
        files.retain(|file| file.user_id == user_id);
        files.sort_by(|one, other| one.info.id.cmp(&other.info.id));
        Ok(files)
    }

    /// Returns the keys of the files with these ids, for [`Store::delete_all`].
    pub(in crate::store) fn file_keys<'i>(
        &self,
        ids: impl Iterator<Item = &'i str>,
    ) -> Vec<(&str, Item)> {
        ids.map(|id| (self.tables.files.as_str(), file_key(id))).collect()
    }

    /// Returns the keys of the files of these chats, for [`Store::delete_all`].
    pub(in crate::store) async fn files_of_chats(
        &self,
        user_id: &str,
        chat_ids: &[String],
    ) -> Result<Vec<(&str, Item)>> {
        let keys = chat_ids.iter().map(|id| chat_key(user_id, id)).collect();
        let chats = self.parts_of_items(&self.tables.chats, keys, Some("files")).await?;
        Ok(self.file_keys(chats.iter().flat_map(files_of)))
    }

    /// Makes the sweep delete the files among these keys again, after an hour. A copy of the
    /// write that stored a file may arrive after the file's deletion. Skips the files of older
    /// chats, whose copies have arrived. Must be called before the files are deleted. Idempotent.
    pub(in crate::store) async fn expect_late_copies(
        &self,
        user_id: &str,
        keys: &[(&str, Item)],
        now: u64,
    ) -> Result<()> {
        let mut files = HashMap::<&str, usize>::new();
        for (_, key) in keys.iter().filter(|(table, _)| *table == self.tables.files) {
            *files.entry(chat_of(text(key, "pk"))).or_default() += 1;
        }
        for (chat_id, files) in files {
            if millis_of(chat_id).unwrap_or_default() / 1000 + LISTED_SECONDS <= now {
                continue;
            }
            let pending = Pending::new(chat_id, user_id, files, 0);
            self.send(&Write::put(&self.tables.tokens, to_item(pending)?)).await?;
        }
        Ok(())
    }

    /// Deletes a chat, and then its files. If the function dies in between, the next sweep deletes
    /// the files. An hour after the message, the sweep deletes them again, because a copy of the write
    /// that stored a file may arrive after the file's deletion. Idempotent.
    pub(in crate::store) async fn delete_with_files(&self, chat: &Chat) -> Result<()> {
        // After a restore, the chat may list only some of its files.
        let pending = Pending::new(&chat.chat_id, &chat.user_id, FILES_OF_MESSAGE, DELETED);
        let key = chat_key(&chat.user_id, &chat.chat_id);
        let writes = vec![
            Write::delete(&self.tables.chats, key),
            Write::put(&self.tables.tokens, to_item(pending)?),
        ];
        self.transact(writes, &Uuid::new_v4().to_string()).await?;
        for some in self.file_keys(chat.files.iter().map(|file| file.id.as_str())).chunks(BATCH) {
            self.delete_all(some).await?;
        }
        Ok(())
    }

    /// Removes a chat's files from its conversation's context. Idempotent.
    pub(in crate::store) async fn leave_with(&self, chat: &Chat) -> Result<()> {
        let Some(conversation) = &chat.conversation else { return Ok(()) };
        let is_of_chat = |file: &FileInfo| file.chat_id() == chat.chat_id;
        self.leave_context(&chat.user_id, conversation, is_of_chat).await
    }

    /// Stores the files of a message whose credits are held. First writes the item that lists them,
    /// so that the sweep deletes them if the message is never stored. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store doesn't answer. Some of the files may be stored.
    pub async fn store_files(&self, hold: &Hold, files: &[File]) -> Result<()> {
        let (chat_id, owner) = (hold.chat_id(), hold.user_id());
        let pending = Pending::new(chat_id, owner, files.len(), hold.lease_ends());
        self.send(&Write::put(&self.tables.tokens, to_item(pending)?).condition(NEW)).await?;
        let puts: Vec<Write> =
            files.iter().map(|file| Write::put(&self.tables.files, item_of(file))).collect();
        try_join_all(puts.iter().map(|put| self.send(put))).await.map(drop)
    }

    /// The write that keeps a chat's files when the chat is stored. It is refused if the sweep has
    /// begun to delete the files. `None` if the chat has no files.
    pub(in crate::store) fn stored_with(&self, chat: &Chat) -> Option<Write> {
        let kept = Write::delete(&self.tables.tokens, pk(pending_pk(&chat.chat_id)))
            .condition("#until > :ended")
            .names([("#until", "until")])
            .values([(":ended", n(0))]);
        (!chat.files.is_empty()).then_some(kept)
    }

    /// Removes the files that `leaves` selects from the context of a conversation. The files remain
    /// with their chats. Does nothing if the conversation was deleted. Idempotent.
    pub async fn leave_context(
        &self,
        user_id: &str,
        conversation: &str,
        leaves: impl Fn(&FileInfo) -> bool,
    ) -> Result<()> {
        let Some(found) = self.conversation(user_id, conversation).await? else { return Ok(()) };
        let leaving: Vec<String> = found
            .listed_files()
            .filter(|(file, _)| leaves(file))
            .map(|(_, listed)| listed.to_owned())
            .collect();
        if leaving.is_empty() {
            return Ok(());
        }
        let leave = self
            .update_conversation(user_id, conversation, "DELETE files :leaving")
            .condition(EXISTS)
            .values([(":leaving", AttributeValue::Ss(leaving))]);
        self.send(&leave).await.map(drop)
    }

    /// Deletes the files of messages that were never stored with them, because their function died,
    /// the AI failed, or a temporary conversation was deleted. Returns the number of such messages.
    /// Parallel and interrupted sweeps are safe: the sweep marks the item before it deletes the
    /// files, and the message's own transaction requires an item without the mark. If an item can't
    /// be read, the sweep skips it and returns an error at the end.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the store doesn't answer.
    pub async fn sweep_files(&self, now: u64) -> Result<usize> {
        let (mut swept, mut unreadable, mut start) = (0, None, None);
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.tables.tokens)
                .index_name("by_user")
                .key_condition_expression("user_id = :pending")
                .set_expression_attribute_values(values([(":pending", s(PENDING))]))
                .set_exclusive_start_key(start);
            let page = query.send().await?;
            let mut ended = page.items.unwrap_or_default();
            ended.retain(|item| began(item) + YOUNGEST <= now * 1000);
            let keys = ended.iter().map(|item| pk(text(item, "pk").to_owned())).collect();
            for item in self.items(&self.tables.tokens, keys).await? {
                match self.sweep_pending(item, now).await {
                    Ok(is_swept) => swept += usize::from(is_swept),
                    Err(error @ StoreError::Internal(_)) => unreadable = Some(error),
                    Err(error) => return Err(error),
                }
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return unreadable.map_or(Ok(swept), Err);
            }
        }
    }

    /// Deletes the files of one message if its lease has ended. Returns false if the lease lasts, if
    /// the files were deleted already, or if the message was stored with them. The item stays for an
    /// hour, and the files are then deleted again: a copy of a write may have arrived since.
    async fn sweep_pending(&self, item: Item, now: u64) -> Result<bool> {
        let is_last = began(&item) / 1000 + LISTED_SECONDS <= now;
        let pending: Pending = from_item(item)?;
        let (table, key) = (&self.tables.tokens, pk(pending.pk.clone()));
        let chat_id = pending.pk.strip_prefix(PENDING).unwrap_or_default();
        let is_marked = pending.until == 0;
        if pending.until + LATE > now || (is_marked && !is_last) {
            return Ok(false);
        }
        let mark = Write::update(table, key.clone(), "SET #until = :ended")
            .condition("attribute_exists(pk)")
            .names([("#until", "until")])
            .values([(":ended", n(0))]);
        if !is_marked && !self.send(&mark).await?.is_applied() {
            return Ok(false);
        }
        // Restored tables may contain this item and a message that lists the files. A temporary
        // message whose conversation was deleted is stored without its files.
        let stored = self.stored_chat(&pending.owner, chat_id).await?;
        let is_stored = stored.is_some_and(|chat| !chat.files.is_empty());
        if !is_stored {
            let ids: Vec<String> =
                (0..pending.files).map(|number| file_id(chat_id, number)).collect();
            for some in self.file_keys(ids.iter().map(String::as_str)).chunks(BATCH) {
                self.delete_all(some).await?;
            }
        }
        if is_last || is_stored {
            self.send(&Write::delete(table, key)).await?;
        }
        Ok(!is_stored && !is_marked)
    }

    /// Returns the ids of the files among `ids` that aren't stored.
    pub(in crate::store) async fn missing_files<'i>(
        &self,
        ids: &'i [String],
    ) -> Result<Vec<&'i str>> {
        let keys = ids.iter().map(|id| file_key(id)).collect();
        let found = self.parts_of_items(&self.tables.files, keys, Some("pk")).await?;
        let found: HashSet<&str> = found.iter().map(|item| text(item, "pk")).collect();
        Ok(ids.iter().map(String::as_str).filter(|id| !found.contains(id)).collect())
    }

    /// Returns the ids of a page of files that belong to no chat: no chat lists them, and no item
    /// `pending:<chat id>` does. Leaves out the files of temporary chats, because DynamoDB may
    /// delete such a chat before its files. Also returns where the next page begins.
    pub(in crate::store) async fn orphans(
        &self,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>)> {
        let scan = self
            .client
            .scan()
            .table_name(&self.tables.files)
            .set_exclusive_start_key(after.map(file_key))
            .projection_expression("pk, user_id")
            .filter_expression(format!("attribute_not_exists({EXPIRES})"))
            .consistent_read(true);
        let page = scan.send().await?;
        let files = page.items.unwrap_or_default();
        let mut orphans = Vec::new();
        for some in files.chunks(BATCH) {
            let mut listed = HashSet::new();
            let mut chats = HashMap::new();
            let mut pending = HashMap::new();
            for file in some {
                let chat = chat_of(text(file, "pk"));
                chats.insert((text(file, "user_id"), chat), chat_key(text(file, "user_id"), chat));
                pending.insert(chat, pk(pending_pk(chat)));
            }
            // Read the items of unfinished messages first: a message that is stored in between is
            // found among the chats.
            let pending = pending.into_values().collect();
            let pending = self.parts_of_items(&self.tables.tokens, pending, Some("pk")).await?;
            let unfinished: HashSet<&str> =
                pending.iter().filter_map(|item| text(item, "pk").strip_prefix(PENDING)).collect();
            let chats = chats.into_values().collect();
            let chats = self.parts_of_items(&self.tables.chats, chats, Some("files")).await?;
            listed.extend(chats.iter().flat_map(files_of));
            let ids = some.iter().map(|file| text(file, "pk"));
            let lost = ids.filter(|id| !listed.contains(id) && !unfinished.contains(chat_of(id)));
            orphans.extend(lost.map(str::to_owned));
        }
        Ok((orphans, page.last_evaluated_key.map(|key| text(&key, "pk").to_owned())))
    }

    /// Deletes the files in restored tables that belong to no chat, and removes the files that
    /// aren't stored from their chats and conversations. Returns a sentence for each repair.
    pub(in crate::store) async fn reconcile_files(&self) -> Result<Vec<String>> {
        let (mut repairs, mut after) = (Vec::new(), None::<String>);
        loop {
            let (orphans, next) = self.orphans(after.as_deref()).await?;
            for some in self.file_keys(orphans.iter().map(String::as_str)).chunks(BATCH) {
                self.delete_all(some).await?;
            }
            repairs.extend(
                orphans.iter().map(|id| format!("deleted the file {id}, which has no message")),
            );
            after = next;
            if after.is_none() {
                break;
            }
        }
        let mut start = None;
        loop {
            let scan = self
                .client
                .scan()
                .table_name(&self.tables.chats)
                .filter_expression("attribute_exists(files)")
                .set_exclusive_start_key(start)
                .consistent_read(true);
            let page = scan.send().await?;
            for item in page.items.unwrap_or_default() {
                let conversation = text(&item, "chat_id").strip_prefix(CONVERSATION);
                repairs.extend(match conversation {
                    Some(id) => self.forget_lost_files(text(&item, "user_id"), id).await?,
                    None => self.forget_missing_files(&item).await?,
                });
            }
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(repairs);
            }
        }
    }

    /// Removes the files that aren't stored, or that their chat doesn't list, from a conversation's
    /// context. Their settle was split, or their chat was deleted again.
    async fn forget_lost_files(&self, user_id: &str, conversation: &str) -> Result<Vec<String>> {
        let Some(found) = self.conversation(user_id, conversation).await? else {
            return Ok(Vec::new());
        };
        let ids: Vec<String> = found.all_files().into_iter().map(|file| file.id).collect();
        let missing: HashSet<&str> = self.missing_files(&ids).await?.into_iter().collect();
        let chats: HashSet<&str> = ids.iter().map(|id| chat_of(id)).collect();
        let chats = chats.into_iter().map(|chat| chat_key(user_id, chat)).collect();
        let chats = self.parts_of_items(&self.tables.chats, chats, Some("files")).await?;
        let listed: HashSet<&str> = chats.iter().flat_map(files_of).collect();
        let is_lost = |id: &str| missing.contains(id) || !listed.contains(id);
        let lost: Vec<&String> = ids.iter().filter(|id| is_lost(id.as_str())).collect();
        if !lost.is_empty() {
            self.leave_context(user_id, conversation, |file| is_lost(&file.id)).await?;
        }
        let said = |id| format!("the conversation {conversation} lost the file {id}");
        Ok(lost.into_iter().map(said).collect())
    }

    /// Removes the files that aren't stored from a chat's list and from its conversation's context.
    async fn forget_missing_files(&self, chat: &Item) -> Result<Vec<String>> {
        let ids: Vec<String> = files_of(chat).map(str::to_owned).collect();
        let missing: HashSet<&str> = self.missing_files(&ids).await?.into_iter().collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let (user_id, chat_id) = (text(chat, "user_id"), text(chat, "chat_id"));
        let conversation = text(chat, "conversation");
        if !conversation.is_empty() {
            let is_missing = |file: &FileInfo| missing.contains(file.id.as_str());
            self.leave_context(user_id, conversation, is_missing).await?;
        }
        let files = chat.get("files").and_then(|files| files.as_l().ok());
        let is_stored = |file: &&AttributeValue| {
            file.as_m().is_ok_and(|file| !missing.contains(text(file, "id")))
        };
        let kept: Vec<AttributeValue> =
            files.into_iter().flatten().filter(is_stored).cloned().collect();
        let forget = match kept.is_empty() {
            true => Write::update(&self.tables.chats, chat_key(user_id, chat_id), "REMOVE files"),
            false => {
                Write::update(&self.tables.chats, chat_key(user_id, chat_id), "SET files = :kept")
                    .values([(":kept", AttributeValue::L(kept))])
            }
        };
        self.send(&forget.condition("attribute_exists(chat_id)")).await?;
        let said = |id| format!("the message {chat_id} lost its file {id}");
        Ok(ids.iter().filter(|id| missing.contains(id.as_str())).map(said).collect())
    }
}
