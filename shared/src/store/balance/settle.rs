//! Settles a chat: spends its credits and stores it. Embeddings are settled in the same way, but
//! only their ledger entry is stored.

use crate::Credits;
use crate::store::balance::hold::Hold;
use crate::store::balance::limits::{Earning, underheld_key};
use crate::store::balance::{CLOSED, FREE_WORK_UPDATE, append_removals};
use crate::store::chats::items::NEW_CHAT;
use crate::store::schema::pk;
use crate::store::{Result, Store, StoreError, Transaction, Write, n, no_entries, s, to_item};
use crate::values::{Chat, Entry, Paid};

/// The condition that the chat's hold exists and its lease hasn't ended.
const SPEND_CONDITION: &str =
    "id = :id AND reservations.#rid.#owner = :owner AND reservations.#rid.expires_at > :now";

/// Adds the earned free work to this day and the next day.
const EARN_UPDATE: &str = ", free_work.#earned = if_not_exists(free_work.#earned, :before) + :earned, \
    free_work.#earned_next = if_not_exists(free_work.#earned_next, :before) + :earned";

/// Adds the part of the price that exceeds the hold to the account's underheld credits.
const UNDERHELD_UPDATE: &str =
    ", free_work.#underheld = if_not_exists(free_work.#underheld, :nothing) + :underheld";

/// The outcome of a settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleOutcome {
    /// The chat is stored and paid for.
    Stored,
    /// The lease has ended. The chat isn't stored, and the credits are returned, either now or
    /// later by the sweep.
    TooLate,
    /// The conversation was deleted in the meantime. The chat isn't stored, and the credits are
    /// still held.
    NoConversation,
    /// The idempotency key already has a record. The chat isn't stored, and the credits are still
    /// held.
    KeyUsed,
    /// The account's chats have reached the largest size that the store allows. The chat isn't
    /// stored, and the credits are still held.
    Full {
        /// True if an earlier copy of the settle may still be applied.
        in_doubt: bool,
    },
}

/// The writes that store a chat, in the transaction that spends its cost.
struct Storing {
    chat: Write,
    /// `None` for a chat without a conversation.
    conversation: Option<Write>,
    /// The write that keeps the chat's files. `None` for a chat without files.
    files: Option<Write>,
}

impl Store {
    /// Adds the map of free work to the account, if the settle of this hold needs the map and the
    /// account doesn't have one. Must be called before the clock is read for the settle.
    /// Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn begin_free_work(&self, hold: &Hold) -> Result<()> {
        let counted = [hold.free_work, hold.underheld];
        let is_needed = hold.earns.is_some() || counted != [Credits::ZERO; 2];
        if hold.has_free_work || !is_needed {
            return Ok(());
        }
        let expression = "SET free_work = if_not_exists(free_work, :none)";
        let begin = Write::update(&self.tables.users, pk(&hold.account), expression)
            .condition("id = :id")
            .values([(":id", s(&hold.user_id)), (":none", no_entries())]);
        self.send(&begin).await.map(drop)
    }

    /// Spends the chat's cost, returns the rest of the hold, and stores the chat, its conversation
    /// and its ledger entry. All of this happens in one transaction, which is refused if the lease
    /// has ended. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the outcome remains
    /// unknown. If the chat wasn't stored, its credits are returned after the lease ends.
    pub async fn settle(&self, hold: &Hold, chat: &Chat, now: u64) -> Result<SettleOutcome> {
        let entry = Entry::of_chat(chat);
        let chat_put =
            Write::put(&self.tables.chats, to_item(chat)?).condition(NEW_CHAT).shows_item();
        let storing = Storing {
            chat: chat_put,
            conversation: self.converse(chat)?,
            files: self.stored_with(chat),
        };
        let begins = chat.conversation.as_ref() == Some(&chat.chat_id);
        let expires_at = chat.expires_at.filter(|_| begins);
        self.settle_with(hold, entry, (chat.cost, expires_at), Some(storing), now).await
    }

    /// Like [`Store::settle`], but stores only the ledger entry, as if the chat had been deleted at
    /// once. For a chat that was delivered and can't be stored.
    ///
    /// # Errors
    /// The same as those of [`Store::settle`].
    pub async fn settle_unstored(
        &self,
        hold: &Hold,
        chat: &Chat,
        now: u64,
    ) -> Result<SettleOutcome> {
        self.settle_with(hold, Entry::of_chat(chat), (chat.cost, None), None, now).await
    }

    /// Like [`Store::settle`], but for embeddings: stores only the ledger entry.
    ///
    /// # Errors
    /// The same as those of [`Store::settle`].
    pub async fn settle_embeddings(
        &self,
        hold: &Hold,
        paid: &Paid,
        now: u64,
    ) -> Result<SettleOutcome> {
        self.settle_with(hold, Entry::of_embeddings(paid), (paid.cost, None), None, now).await
    }

    /// Settles a hold, together with the writes that store the chat and its conversation. If the
    /// chat begins a temporary conversation, `expires_at` is when that is to be erased.
    async fn settle_with(
        &self,
        hold: &Hold,
        entry: Entry,
        (cost, expires_at): (Credits, Option<u64>),
        storing: Option<Storing>,
        now: u64,
    ) -> Result<SettleOutcome> {
        let entry = Entry { key_id: hold.key_id.clone(), ..entry };
        let mut writes = vec![self.spend(hold, cost, expires_at, now)];
        let (chat, conversation, files) = match storing {
            Some(Storing { chat, conversation, files }) => (Some(chat), conversation, files),
            None => (None, None, None),
        };
        writes.extend(chat);
        writes.push(self.put_entry(&entry)?);
        let (conversation_at, is_in_conversation) = (writes.len(), conversation.is_some());
        writes.extend(conversation);
        let record_at = writes.len();
        if let Some(record) = &hold.record {
            writes.push(self.remember(record, now)?);
        }
        // If the sweep has begun to delete the files, the lease has ended.
        writes.extend(files);
        let mut in_doubt = false;
        let transaction =
            match self.transact_watched(writes, &hold.settle_token, &mut in_doubt).await {
                Err(StoreError::Full(cause)) => {
                    tracing::warn!(cause, user = hold.user_id, "an account's chats are full");
                    return Ok(SettleOutcome::Full { in_doubt });
                }
                transaction => transaction?,
            };
        match transaction {
            Transaction::Applied => Ok(SettleOutcome::Stored),
            // The hold is gone, or its lease has ended. If a copy of this settle was applied, its
            // ledger entry exists.
            Transaction::Refused(_) if self.has_row(&hold.user_id, &entry.entry_id).await? => {
                Ok(SettleOutcome::Stored)
            }
            Transaction::Refused(refusals)
                if is_in_conversation && refusals.has(conversation_at) =>
            {
                Ok(SettleOutcome::NoConversation)
            }
            Transaction::Refused(refusals) if hold.record.is_some() && refusals.has(record_at) => {
                Ok(SettleOutcome::KeyUsed)
            }
            Transaction::Refused(_) => Ok(SettleOutcome::TooLate),
        }
    }

    /// The write that spends the chat's cost, and returns the rest of the hold to the balance. It
    /// also adds the account to the `erasing` index, if a temporary conversation begins.
    fn spend(&self, hold: &Hold, cost: Credits, expires_at: Option<u64>, now: u64) -> Write {
        let mut set = String::from("SET spent = spent + reservations.#rid.#cost");
        let mut condition = String::from(SPEND_CONDITION);
        let mut remove = String::from(" REMOVE reservations.#rid");
        let (mut names, mut values) = (Vec::new(), Vec::new());
        if hold.quote.depends_on_usage() {
            let back = hold.held.cost.checked_sub(cost).unwrap_or_default();
            set = "SET spent = spent + :charge, tokens = tokens + :back".into();
            condition.push_str(" AND reservations.#rid.#cost = :held");
            values.extend([(":charge", n(cost)), (":back", n(back)), (":held", n(hold.held.cost))]);
        }
        if let Some(purse) = &hold.held.purse
            && hold.quote.depends_on_usage()
        {
            set.push_str(", purses.#purse = if_not_exists(purses.#purse, :back) - :back");
            names.push(("#purse".into(), purse.clone()));
        }
        let free_work = hold.free_work_at(now);
        if let Some(Earning { part, before }) = hold.earns {
            set.push_str(EARN_UPDATE);
            let keys = ["#earned", "#earned_next"].map(str::to_owned);
            names.extend(keys.into_iter().zip(free_work.earning_keys()));
            values.extend([(":earned", n(part)), (":before", n(before))]);
        }
        if hold.free_work > Credits::ZERO {
            set.push_str(FREE_WORK_UPDATE);
            names.push(("#free_work".into(), free_work.key()));
            values.extend([(":work", n(free_work.counted(hold.free_work))), (":nothing", n(0))]);
        }
        if hold.underheld > Credits::ZERO {
            set.push_str(UNDERHELD_UPDATE);
            names.push(("#underheld".into(), underheld_key(now)));
            values.extend([(":underheld", n(hold.underheld)), (":nothing", n(0))]);
        }
        if let Some(end) = expires_at {
            set.push_str(", erasing = if_not_exists(erasing, :erasing)");
            values.push((":erasing", n(end)));
        }
        // Always close a hold id that is an idempotency key's id. Another request with the same
        // idempotency key may look for the record before this settle writes it, and try to reserve
        // afterwards.
        if hold.sent_again || hold.record.is_some() {
            set.push_str(", closed.#rid = :closed");
            values.push((":closed", n(now + CLOSED)));
        }
        names.extend(append_removals(&mut remove, "closed", &hold.outdated));
        names.extend(append_removals(&mut remove, "minutes", &hold.minutes_over));
        names.extend(append_removals(&mut remove, "purses", &hold.purses_over));
        names.extend(append_removals(&mut remove, "free_work", &hold.free_work_over));
        Write::update(&self.tables.users, pk(&hold.account), set + &remove)
            .condition(condition)
            .names(names)
            .names([("#rid", hold.rid.as_str()), ("#cost", "cost"), ("#owner", "owner")])
            .values(values)
            .values([(":id", s(&hold.user_id)), (":owner", s(&hold.held.owner)), (":now", n(now))])
    }
}
