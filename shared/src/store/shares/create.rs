//! Creates shared chats.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::Error;
use crate::store::chats::conversations::title_of;
use crate::store::chats::items::CHATS;
use crate::store::credentials::sessions::CALLER;
use crate::store::schema::{
    account_pk, pk, share_part_pk, share_pk, shares_in_hour_pk, shares_of_pk,
};
use crate::store::shares::{Share, ids};
use crate::store::{
    ChatKey, Conversation, NEW, Result, Store, StoreError, Transaction, Write, flag, n, s, to_item,
};
use crate::values::limit::HOUR;
use crate::values::{
    AccessToken, Account, Limit, ParentChat, SHARED_BYTES, SHARED_MESSAGES, SHARES, SHARES_AN_HOUR,
    ShareLink, SharedMessage,
};

/// The maximum size of a part, in bytes. DynamoDB limits an item to 400 KB.
const PART: usize = 256_000;

/// A part of a shared chat's messages.
#[derive(Clone, Debug, Serialize)]
struct SharePart {
    pk: String,
    user_id: String,
    /// A slice of the messages' JSON text.
    text: String,
}

/// A shared chat that is about to be created.
#[derive(Clone, Debug)]
pub struct NewShare {
    share: Share,
    parts: Vec<SharePart>,
}

impl NewShare {
    /// Creates a shared chat of these messages. `author` is true if readers see the account's
    /// username. `now` is in milliseconds.
    ///
    /// # Errors
    /// [`Error::ShareTooLong`] if the messages are too long.
    pub fn new(
        link: &ShareLink,
        account: &Account,
        conversation: &Conversation,
        MessagesToShare { messages, title }: &MessagesToShare,
        author: bool,
        now: u64,
    ) -> Result<Self> {
        let text = serde_json::to_string(messages)
            .map_err(|error| StoreError::Internal(error.to_string()))?;
        if text.len() > SHARED_BYTES {
            return Err(too_long());
        }
        let id = link.id();
        let mut parts = Vec::new();
        for (part, text) in (0..).zip(slices(&text)) {
            let (pk, user_id) = (share_part_pk(&id, part), account.id.clone());
            parts.push(SharePart { pk, user_id, text: text.to_owned() });
        }
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let share = Share {
            pk: share_pk(&id),
            user_id: account.id.clone(),
            name: account.label.clone(),
            link: link.text(),
            title: title.as_ref().unwrap_or(&conversation.title).clone(),
            author: author.then(|| account.name.clone()),
            conversation: conversation.id().to_owned(),
            messages: count(messages.len()),
            parts: count(parts.len()),
            reports: BTreeSet::new(),
            time: now,
        };
        Ok(Self { share, parts })
    }

    /// Returns the shared chat.
    pub fn share(&self) -> &Share {
        &self.share
    }
}

/// The messages of a branch, for a shared chat.
#[derive(Clone, Debug)]
pub struct MessagesToShare {
    /// The messages, oldest first. There is at least one.
    messages: Vec<SharedMessage>,
    /// The title of the copy, if that isn't the conversation's. A conversation's title usually comes
    /// from its first message, so a copy without this message has a title of its own.
    title: Option<String>,
}

/// Cuts a text into parts that fit into an item. A part ends between two characters.
fn slices(mut text: &str) -> Vec<&str> {
    let mut slices = Vec::new();
    while !text.is_empty() {
        let (slice, rest) = text.split_at(text.floor_char_boundary(PART));
        slices.push(slice);
        text = rest;
    }
    slices
}

fn too_long() -> StoreError {
    StoreError::Refused(Error::ShareTooLong { messages: SHARED_MESSAGES, bytes: SHARED_BYTES })
}

impl Store {
    /// Returns the messages of a branch, oldest first. The branch ends with the chat `last`, or with
    /// the conversation's newest chat if `last` is `None`. Returns `None` if the conversation
    /// doesn't contain this chat, or is empty. Chats that have expired at the Unix time `now` are
    /// left out.
    ///
    /// # Errors
    /// [`Error::ShareTooLong`] if the branch has too many messages, is too large, or passes through
    /// too many parts of the conversation. The reads stop as soon as this is known.
    pub async fn messages_to_share(
        &self,
        user_id: &str,
        conversation: &str,
        last: Option<&ParentChat>,
        now: u64,
    ) -> Result<Option<MessagesToShare>> {
        let most = SHARED_MESSAGES + 1;
        let newest = self.newest_chats(user_id, conversation, most).await?;
        let branch = self.branch(user_id, conversation, newest, last, most).await?;
        let Some(branch) = branch.filter(|branch| !branch.ids.is_empty()) else { return Ok(None) };
        if branch.ids.len() > SHARED_MESSAGES || branch.is_cut_off {
            return Err(too_long());
        }
        let keys: Vec<ChatKey> =
            branch.ids.iter().rev().map(|id| ChatKey::new(user_id, id)).collect();
        let (mut messages, mut size) = (Vec::new(), 0);
        // One batch after the other, because a batch may take up several megabytes of memory.
        for some in keys.chunks(CHATS) {
            let chats = self.chats_with(some).await?;
            for chat in chats.into_iter().filter(|chat| !chat.is_expired(now)) {
                let message = SharedMessage::of(&chat);
                size += message.size();
                if size > SHARED_BYTES {
                    return Err(too_long());
                }
                messages.push(message);
            }
        }
        let Some(first) = messages.first() else { return Ok(None) };
        let has_beginning = branch.ids.iter().any(|id| id == conversation);
        let title = (!has_beginning).then(|| title_of(&first.message));
        Ok(Some(MessagesToShare { messages, title }))
    }

    /// Stores a shared chat with its messages, if the account accepts the caller and can have
    /// another shared chat. The same transaction counts it among those of the hour. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`], [`Error::TooManyShares`] and [`Error::TooManySharesNow`].
    pub async fn create_share(&self, caller: &AccessToken, new: &NewShare) -> Result<()> {
        let table = &self.tables.tokens;
        let NewShare { share, parts } = new;
        let put = Write::put(table, to_item(share)?).condition(NEW).shows_item();
        let most = "attribute_not_exists(ids) OR size(ids) < :most OR contains(ids, :id)";
        let list = pk(shares_of_pk(&share.user_id));
        let list = Write::update(table, list, "SET user_id = :user ADD ids :ids")
            .condition(most)
            .values([
                (":user", s(&share.user_id)),
                (":ids", ids([share.id().to_owned()])),
                (":id", s(share.id())),
                (":most", n(SHARES)),
            ]);
        let accepted = Write::check(&self.tables.users, pk(account_pk(&caller.name)))
            .condition(CALLER)
            .names([("#caller", &caller.session)])
            .values([
                (":id", s(&caller.user_id)),
                (":true", flag(true)),
                (":seen", n(caller.auth_epoch)),
            ]);
        let now = share.time / 1000;
        let key = shares_in_hour_pk(&share.user_id, now / HOUR);
        let (count, reset) = self.counts_in_hour(&key, SHARES_AN_HOUR, share.id(), now);
        let mut writes = vec![put, list, accepted, count];
        for part in parts {
            writes.push(Write::put(table, to_item(part)?).condition(NEW));
        }
        // DynamoDB ignores a copy of a transaction with the same request token for ten minutes. No
        // copy arrives later, so a copy can't bring back a shared chat that was ended.
        let refusals = match self.transact(writes, share.id()).await? {
            Transaction::Applied => return Ok(()),
            Transaction::Refused(refusals) => refusals,
        };
        // An earlier copy stored the shared chat, but the reply was lost.
        if refusals.read::<Share>(0)?.is_some_and(|stored| stored.id() == share.id()) {
            return Ok(());
        }
        if refusals.has(2) {
            return Err(StoreError::NotAccepted);
        }
        if refusals.has(1) {
            return Err(StoreError::Refused(Error::TooManyShares { most: SHARES }));
        }
        if refusals.has(3) {
            return Err(StoreError::Refused(Error::TooManySharesNow(Limit::shares(reset))));
        }
        Err(StoreError::Internal("a shared chat was refused without a reason".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_fit_into_items_and_join_to_the_same_text() {
        let text = "\u{20ac}a".repeat(200_000);
        let parts = slices(&text);
        assert_eq!(parts.concat(), text);
        assert!(parts.len() == 4 && parts.iter().all(|part| part.len() <= PART));
        assert!(slices("").is_empty());
    }
}
