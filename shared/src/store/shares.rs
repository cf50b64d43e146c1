//! Shared chats in the Tokens table. A shared chat has copies of its messages, so nothing that
//! happens to the conversation later changes it.
//!
//! | item | contents |
//! |---|---|
//! | `share:<id>` | the shared chat: author, link, title, number of parts, and ids of open reports |
//! | `share:<id>#<n>` | a part of its messages, as a slice of one JSON text |
//! | `shares:<user id>` | the ids of an author's shared chats |
//! | `report:<id>` | a report about a shared chat, which expires after 90 days |
//!
//! The items are in the Tokens table and not in the Chats table, because readers know only the
//! link, and items in the Chats table have their owner's partition. All of an author's items contain
//! the author's id, so they are in the `by_user` index, and the erasure of a deleted account erases
//! them.
//!
//! The id is the hash of the link. Keys are visible in indexes, in log lines and in AWS's own
//! records of requests, and none of them opens a shared chat. The item also contains the link
//! itself, so that its author can copy it again. This doesn't weaken the link: a reader of the item
//! can also read the messages, which are all that the link opens.
//!
//! One transaction writes all items of a shared chat, and one transaction deletes them. Therefore a
//! function that dies leaves no parts behind.

pub(in crate::store) mod audit;
mod create;
mod reports;

pub use create::{MessagesToShare, NewShare};
pub use reports::ShareReport;

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Error;
use crate::store::schema::{
    SHARE, SHARES_OF, pk, report_pk, share_part_pk, share_pk, shares_of_pk,
};
use crate::store::{
    Backoff, Item, PlannedIntervention, Result, Store, StoreError, Transaction, Write, from_item,
    is_id, n, s, text,
};
use crate::values::{Account, ShareLink, SharedMessage};

/// A shared chat without its messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// `share:<id>`.
    pk: String,
    /// The id of the author's account.
    pub user_id: String,
    /// The key form of the author's username, under which the account is found.
    name: String,
    /// The link's text.
    pub link: String,
    /// The conversation's title when it was shared.
    pub title: String,
    /// The author's username, if the author wants readers to see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The conversation's id.
    pub conversation: String,
    /// The number of messages.
    pub messages: u32,
    /// The number of parts.
    parts: u32,
    /// The ids of the reports that no administrator has dismissed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    reports: BTreeSet<String>,
    /// When the chat was shared, in milliseconds since 1970.
    pub time: u64,
}

/// The ids of an author's shared chats.
#[derive(Debug, Default, Deserialize)]
struct SharesOf {
    #[serde(default)]
    ids: BTreeSet<String>,
}

impl Share {
    /// Returns the id.
    pub fn id(&self) -> &str {
        self.pk.strip_prefix(SHARE).unwrap_or_default()
    }

    /// Returns the key form of the author's username.
    pub fn username(&self) -> &str {
        &self.name
    }

    /// Returns the primary keys of the parts, in order.
    fn part_keys(&self) -> impl Iterator<Item = Item> {
        (0..self.parts).map(|part| pk(share_part_pk(self.id(), part)))
    }
}

impl Store {
    /// Returns the shared chat with this id. `None` if it was ended or never existed. Strongly
    /// consistent.
    pub async fn share(&self, id: &str) -> Result<Option<Share>> {
        if !is_id(id) {
            return Ok(None);
        }
        self.get(&self.tables.tokens, pk(share_pk(id))).await
    }

    /// Returns the shared chat with this link. `None` if it was ended, or if its author's account
    /// was deactivated or deleted. Strongly consistent.
    pub async fn open_share(&self, link: &ShareLink) -> Result<Option<Share>> {
        let Some(share) = self.share(&link.id()).await? else { return Ok(None) };
        Ok(self.is_open(&share).await?.then_some(share))
    }

    /// Like [`Store::open_share`], but also returns the messages.
    pub async fn opened_share(
        &self,
        link: &ShareLink,
    ) -> Result<Option<(Share, Vec<SharedMessage>)>> {
        let Some(share) = self.share(&link.id()).await? else { return Ok(None) };
        let (is_open, messages) =
            tokio::try_join!(self.is_open(&share), self.shared_messages(&share))?;
        Ok(messages.filter(|_| is_open).map(|messages| (share, messages)))
    }

    /// Returns true if readers can see what this author shares.
    async fn is_open(&self, share: &Share) -> Result<bool> {
        let author = self.account_named(&share.name).await?;
        Ok(author.is_some_and(|author| {
            author.id == share.user_id && author.active && author.deleted.is_none()
        }))
    }

    /// Returns the messages of a shared chat. `None` if it was ended since it was read.
    pub async fn shared_messages(&self, share: &Share) -> Result<Option<Vec<SharedMessage>>> {
        let found = self.items(&self.tables.tokens, share.part_keys().collect()).await?;
        let mut whole = String::new();
        for key in share.part_keys() {
            let part = found.iter().find(|part| text(part, "pk") == text(&key, "pk"));
            let Some(part) = part else { return Ok(None) };
            whole.push_str(text(part, "text"));
        }
        let messages: Vec<SharedMessage> = serde_json::from_str(&whole)
            .map_err(|error| StoreError::Internal(format!("a shared chat: {error}")))?;
        Ok(Some(messages.into_iter().map(SharedMessage::as_shown).collect()))
    }

    /// Returns a user's shared chats, newest first. Strongly consistent.
    pub async fn shares_of(&self, user_id: &str) -> Result<Vec<Share>> {
        let list: Option<SharesOf> =
            self.get(&self.tables.tokens, pk(shares_of_pk(user_id))).await?;
        let ids: Vec<String> = list.unwrap_or_default().ids.into_iter().collect();
        let mut shares: Vec<Share> = self.with_ids(SHARE, &ids).await?;
        shares.sort_by(|one, other| (other.time, other.id()).cmp(&(one.time, one.id())));
        Ok(shares)
    }

    /// Ends one of a user's shared chats, and deletes its messages. `account` must be freshly read.
    ///
    /// # Errors
    /// [`Error::NoSuchShare`] if the user has no shared chat with this id.
    pub async fn end_share(&self, account: &Account, id: &str) -> Result<()> {
        let own = async || {
            let share = self.share(id).await?;
            Ok::<_, StoreError>(share.filter(|share| share.user_id == account.id))
        };
        let mut seen = own().await?.ok_or(StoreError::Refused(Error::NoSuchShare))?;
        let mut backoff = Backoff::new();
        loop {
            let request = Uuid::new_v4().to_string();
            if let Transaction::Applied = self.transact(self.share_ends(&seen), &request).await? {
                return Ok(());
            }
            // If it is gone, an earlier copy of the transaction was applied.
            let Some(current) = own().await? else { return Ok(()) };
            seen = current;
            backoff.try_again(CHANGING).await?;
        }
    }

    /// Returns a shared chat with its author's account, for an administrator. `None` if it was
    /// ended, or if its author's account was deleted.
    pub async fn share_with_author(&self, id: &str) -> Result<Option<(Share, Account)>> {
        let Some(share) = self.share(id).await? else { return Ok(None) };
        let author = self.account_named(&share.name).await?;
        let author = author.filter(|author| author.id == share.user_id && author.deleted.is_none());
        Ok(author.map(|author| (share, author)))
    }

    /// Ends a user's shared chat on behalf of an administrator, and deletes its messages and
    /// reports.
    ///
    /// # Errors
    /// [`Error::NoSuchShare`] if it has ended, and the errors of
    /// [`Store::end_sessions_of_user`].
    pub async fn end_share_of_user(
        &self,
        doing: &PlannedIntervention<'_>,
        share: &Share,
    ) -> Result<()> {
        let mut seen = share.clone();
        let mut backoff = Backoff::new();
        loop {
            if self.intervene(doing, self.share_ends(&seen)).await?.is_none() {
                return Ok(());
            }
            let current = self.share(share.id()).await?;
            seen = current.ok_or(StoreError::Refused(Error::NoSuchShare))?;
            backoff.try_again(CHANGING).await?;
        }
    }

    /// Returns the writes that delete a shared chat with its parts and reports, on condition that no
    /// report was added or dismissed since it was read.
    fn share_ends(&self, share: &Share) -> Vec<Write> {
        let table = &self.tables.tokens;
        let mut head = Write::delete(table, pk(&share.pk)).values([(":user", s(&share.user_id))]);
        let mut condition = "user_id = :user AND attribute_not_exists(reports)".to_owned();
        if !share.reports.is_empty() {
            condition = "user_id = :user AND size(reports) = :count".into();
            head = head.values([(":count", n(share.reports.len()))]);
            for (index, report) in share.reports.iter().enumerate() {
                condition.push_str(&format!(" AND contains(reports, :report{index})"));
                head = head.values([(format!(":report{index}"), s(report))]);
            }
        }
        let head = head.condition(condition);
        let reports = share.reports.iter().map(|report| pk(report_pk(report)));
        let others = share.part_keys().chain(reports).map(|key| Write::delete(table, key));
        let list = Write::update(table, pk(shares_of_pk(&share.user_id)), "DELETE ids :ids")
            .condition("attribute_exists(pk)")
            .values([(":ids", ids([share.id().to_owned()]))]);
        [head, list].into_iter().chain(others).collect()
    }

    /// Ends a restored shared chat that was ended after the restore point: deletes an item that is
    /// missing from the newer tables, and removes from an author's list the ids that are missing
    /// there. Returns 1 if a shared chat was ended, and 0 otherwise.
    pub(in crate::store) async fn end_share_again(
        &self,
        earlier: &Item,
        later: Option<Item>,
    ) -> Result<usize> {
        let key = text(earlier, "pk");
        let Some(later) = later else {
            self.send(&Write::delete(&self.tables.tokens, pk(key))).await?;
            return Ok(usize::from(key.starts_with(SHARE) && !key.contains('#')));
        };
        if key.starts_with(SHARES_OF) {
            let (earlier, later): (SharesOf, SharesOf) =
                (from_item(earlier.clone())?, from_item(later)?);
            let gone: Vec<String> = earlier.ids.difference(&later.ids).cloned().collect();
            if !gone.is_empty() {
                let remove = Write::update(&self.tables.tokens, pk(key), "DELETE ids :ids")
                    .condition("attribute_exists(pk)")
                    .values([(":ids", ids(gone))]);
                self.send(&remove).await?;
            }
        }
        Ok(0)
    }
}

/// The cause that is logged if a shared chat couldn't be ended because reports kept arriving.
const CHANGING: &str = "a shared chat kept changing while it was ended";

/// A set of ids.
fn ids(ids: impl IntoIterator<Item = String>) -> AttributeValue {
    AttributeValue::Ss(ids.into_iter().collect())
}
