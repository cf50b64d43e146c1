//! Reconciles balances in restored tables. All tables are restored to the same point in time, but a
//! transaction that was in progress at that time may be split: some items may have the values from
//! before the transaction, and others the values from after it. The ledger is authoritative: each
//! account's balance is set to the balance that follows from its ledger entries.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::Credits;
use crate::clock::{millis_of, month};
use crate::store::credentials::Purses;
use crate::store::imports::imported_grant;
use crate::store::orders::{Order, OrderTotals};
use crate::store::schema::{CONVERSATION, pk};
use crate::store::sources::StoredSource;
use crate::store::{
    Conversation, Result, Store, StoreError, Write, from_item, n, no_entries, s, text,
};
use crate::values::restrictions::key_and_period;
use crate::values::{Account, Chat, Entry, EntryKind, StoredApiKey};

/// The longest time that a chat may take, in milliseconds, including the time skew between items in
/// a backup. A missing conversation is restored only if it began at most this long before the
/// restore point.
const RECENT: u64 = 15 * 60 * 1000;

/// The totals of an account's ledger.
#[derive(Default)]
struct LedgerTotals {
    granted: i128,
    spent: i128,
    has_grant: bool,
    /// The chats with a ledger entry.
    charged: HashSet<String>,
    /// The sources of named grants.
    sources: Vec<StoredSource>,
    orders: OrderTotals,
    purses: Purses,
    /// The period of the last allowance.
    allowance: Option<u64>,
}

/// The values in an account that follow from its ledger and its orders.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Numbers {
    tokens: Credits,
    granted: Credits,
    spent: Credits,
    owed: Credits,
    /// The period of the last allowance.
    allowance: Option<u64>,
}

impl Numbers {
    /// Returns the account's current values.
    fn of(account: &Account) -> Self {
        Self {
            tokens: account.tokens,
            granted: account.granted,
            spent: account.spent,
            owed: account.owed.unwrap_or_default(),
            allowance: account.allowance,
        }
    }
}

impl LedgerTotals {
    /// Returns the values that the account should have. `None` if these totals are impossible.
    fn numbers(&self, account: &Account, owed: Credits) -> Option<Numbers> {
        let exact = |number: i128| u64::try_from(number).ok().and_then(Credits::new);
        let tokens = exact(self.granted - self.spent)?;
        let (granted, spent) = (exact(self.granted)?, exact(self.spent)?);
        // If the account's grants differ from the ledger's, the transaction of its last allowance
        // may have been split. Otherwise keep the account's period, because the ledger contains no
        // row for a period in which the account had enough credits.
        let allowance = match account.granted == granted {
            true => account.allowance.max(self.allowance),
            false => self.allowance,
        };
        Some(Numbers { tokens, granted, spent, owed, allowance })
    }
}

impl Store {
    /// Completes or undoes the transactions that were split by the restore to the Unix time
    /// `second`. Writes missing ledger entries for stored chats, ends all holds, and sets the
    /// account's values to those that follow from its ledger. Returns descriptions of the repairs.
    /// Idempotent.
    ///
    /// The holds can no longer be settled, because their leases ended while the tables were
    /// restored.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the account or one of its orders changes at the same time.
    pub(in crate::store) async fn reconcile_balance(
        &self,
        account: &Account,
        keys: &[&StoredApiKey],
        orders: &[Order],
        import: Option<&StoredSource>,
        (second, now): (u64, u64),
    ) -> Result<Vec<String>> {
        let mut repairs = Vec::new();
        let mut totals = self.ledger_totals(&account.id).await?;
        if let Some(grant) = first_grant(account, import, &totals) {
            // If the write is refused, an earlier copy of it was applied.
            if self.send(&self.put_entry(&grant)?).await?.is_applied() {
                repairs.push("restored the ledger entry of its first grant".to_owned());
            }
            totals.granted += i128::from(grant.amount);
        }
        for source in &totals.sources {
            if self.restore_source(source).await? {
                repairs.push(format!("restored the source {}", source.text()));
            }
        }
        let (restored, owed) = self.reconcile_orders(orders, &totals.orders).await?;
        repairs.extend(restored);
        self.complete_stored_chats(account, &mut totals, second, now, &mut repairs).await?;
        repairs.extend(self.reconcile_purses(account, keys, &totals, now).await?);

        match totals.numbers(account, owed) {
            Some(numbers) => repairs.extend(self.reconcile_numbers(account, numbers).await?),
            None => repairs.push(format!(
                "its ledger grants {} and charges {}, which is impossible",
                totals.granted, totals.spent
            )),
        }
        Ok(repairs)
    }

    /// Sets the account's values and ends its holds, if any of the values differ or the account has
    /// holds. Returns descriptions of the repairs.
    async fn reconcile_numbers(&self, account: &Account, numbers: Numbers) -> Result<Vec<String>> {
        let mut repairs = Vec::new();
        let (had, held) = (Numbers::of(account), account.reservations.len());
        if held == 0 && had == numbers {
            return Ok(repairs);
        }
        if !self.send(&self.set_numbers(account, numbers)).await?.is_applied() {
            return Err(StoreError::Unavailable(
                "an account changed while it was reconciled".into(),
            ));
        }
        if had.allowance != numbers.allowance {
            repairs.push("took the period of its allowance from its ledger".into());
        }
        if had.owed != numbers.owed {
            repairs.push(format!(
                "set what it owes to {} tokens, as in its purchases; it owed {}",
                numbers.owed, had.owed
            ));
        }
        if held > 0 {
            repairs.push(format!("ended {held} holds"));
        }
        let Numbers { granted, spent, .. } = numbers;
        if (had.granted, had.spent) != (granted, spent) {
            repairs.push(format!(
                "granted {granted} and spent {spent}, as in its ledger; it had granted {} and spent {}",
                had.granted, had.spent
            ));
        } else if held == 0 && had.tokens != numbers.tokens {
            repairs.push(format!(
                "set its balance to {} tokens, as in its ledger; it was {}",
                numbers.tokens, had.tokens
            ));
        }
        Ok(repairs)
    }

    /// A write that sets the account's values and ends its holds, if the balance hasn't changed
    /// since it was read.
    fn set_numbers(&self, account: &Account, numbers: Numbers) -> Write {
        let Numbers { tokens, granted, spent, owed, allowance } = numbers;
        let (mut set, mut remove, mut values) = (String::new(), Vec::new(), Vec::new());
        match owed {
            Credits::ZERO => remove.push("owed"),
            owed => {
                set.push_str(", owed = :owed");
                values.push((":owed", n(owed)));
            }
        }
        match allowance {
            None => remove.push("allowance"),
            Some(period) => {
                set.push_str(", allowance = :allowance");
                values.push((":allowance", n(period)));
            }
        }
        if !remove.is_empty() {
            set.push_str(&format!(" REMOVE {}", remove.join(", ")));
        }
        Write::update(
            &self.tables.users,
            pk(&account.pk),
            format!("SET tokens = :tokens, granted = :granted, spent = :spent, reservations = :none{set}"),
        )
        .condition("id = :id AND tokens = :had AND granted = :was_granted AND spent = :was_spent AND size(reservations) = :held")
        .values([
            (":id", s(&account.id)),
            (":tokens", n(tokens)),
            (":granted", n(granted)),
            (":spent", n(spent)),
            (":none", no_entries()),
            (":had", n(account.tokens)),
            (":was_granted", n(account.granted)),
            (":was_spent", n(account.spent)),
            (":held", n(account.reservations.len())),
        ])
        .values(values)
    }

    /// Replaces the account's purses with purses computed from the ledger, if they differ. A purse
    /// that the account doesn't have yet, such as this month's, is empty.
    async fn reconcile_purses(
        &self,
        account: &Account,
        keys: &[&StoredApiKey],
        totals: &LedgerTotals,
        now: u64,
    ) -> Result<Option<String>> {
        let purses = totals.purses.of_keys(keys, &month(now * 1000));
        let stored = |purse: &str| account.purses.as_ref()?.get(purse).copied();
        let is_wrong =
            |(purse, spent): (&String, &Credits)| stored(purse).unwrap_or_default() != *spent;
        // A purse of an earlier month is kept until the key is used again.
        let is_stale = |(purse, spent): (&String, &Credits)| {
            let (id, _): (&str, &str) = key_and_period(purse);
            keys.iter().any(|key| key.id() == id && key.limit().is_some())
                && totals.purses.get(purse) != i128::from(spent.get())
        };
        let has_stale = account.purses.iter().flatten().any(is_stale);
        let Some(purses) = purses.filter(|purses| has_stale || purses.iter().any(is_wrong)) else {
            return Ok(None);
        };
        let map = purses.into_iter().map(|(purse, spent)| (purse, n(spent))).collect();
        let set = Write::update(&self.tables.users, pk(&account.pk), "SET purses = :purses")
            .condition("id = :id AND attribute_not_exists(deleted)")
            .values([(":id", s(&account.id)), (":purses", AttributeValue::M(map))]);
        let is_set = self.send(&set).await?.is_applied();
        Ok(is_set.then(|| "counted again what its API keys have spent".to_owned()))
    }

    async fn ledger_totals(&self, user_id: &str) -> Result<LedgerTotals> {
        let mut totals = LedgerTotals::default();
        let mut rows = self.all_of(&self.tables.ledger, user_id).into_paginator().items().send();
        while let Some(row) = rows.try_next().await? {
            let entry: Entry = from_item(row)?;
            totals.sources.extend(StoredSource::of(&entry));
            totals.orders.add(&entry);
            if entry.charges() {
                totals.spent -= i128::from(entry.amount);
                totals.purses.add(&entry);
                totals.charged.insert(entry.entry_id);
            } else {
                totals.granted += i128::from(entry.amount);
                totals.allowance = totals.allowance.max(entry.allowance);
                totals.has_grant |= entry.kind == EntryKind::Grant || entry.entry_id == user_id;
            }
        }
        Ok(totals)
    }

    /// Writes missing ledger entries for stored chats, and creates missing conversations that
    /// recent chats began. If any of the account's conversations await erasure, schedules the
    /// erasure.
    async fn complete_stored_chats(
        &self,
        account: &Account,
        totals: &mut LedgerTotals,
        second: u64,
        now: u64,
        repairs: &mut Vec<String>,
    ) -> Result<()> {
        let recent = (second * 1000).saturating_sub(RECENT);
        let (mut begun, mut conversations, mut deleted) = (Vec::new(), HashSet::new(), false);
        // The cost of each conversation's chats, and the time of the newest one.
        let mut costs: HashMap<String, (u64, u64)> = HashMap::new();
        let mut items =
            self.all_of(&self.tables.chats, &account.id).into_paginator().items().send();
        while let Some(item) = items.try_next().await? {
            if let Some(id) = text(&item, "chat_id").strip_prefix(CONVERSATION) {
                let (cost, newest) = costs.remove(id).unwrap_or_default();
                conversations.insert(id.to_owned());
                deleted |= item.contains_key("deleted");
                let conversation: Conversation = from_item(item)?;
                let used = conversation.used.max(newest);
                if used >= recent && self.recount(&conversation, cost).await? {
                    let id = conversation.id();
                    repairs.push(format!("forgot what the conversation {id} was charged"));
                }
                continue;
            }
            let chat: Chat = from_item(item)?;
            if let Some(conversation) = &chat.conversation {
                let (cost, newest) = costs.entry(conversation.clone()).or_default();
                *cost += chat.cost.get();
                *newest = chat.time.max(*newest);
            }
            if totals.charged.insert(chat.chat_id.clone()) {
                if self.send(&self.put_entry(&Entry::of_chat(&chat))?).await?.is_applied() {
                    repairs.push(format!("restored the ledger entry of message {}", chat.chat_id));
                }
                totals.spent += i128::from(chat.cost.get());
            }
            let begins = chat.conversation.as_ref() == Some(&chat.chat_id);
            if begins && millis_of(&chat.chat_id) >= Some(recent) {
                begun.push(chat);
            }
        }
        begun.retain(|chat| !conversations.contains(&chat.chat_id));
        for chat in begun {
            if let Some(converse) = self.converse(&chat)?
                && self.send(&converse).await?.is_applied()
            {
                repairs.push(format!("restored the conversation of message {}", chat.chat_id));
                // The new item counts only this chat.
                let (cost, _) = costs.remove(&chat.chat_id).unwrap_or_default();
                self.recount(&Conversation::begun_by(&chat, &chat.chat_id), cost).await?;
            }
        }
        if deleted {
            let erase = Write::update(
                &self.tables.users,
                pk(&account.pk),
                "SET erasing = if_not_exists(erasing, :now)",
            )
            .condition("id = :id")
            .values([(":id", s(&account.id)), (":now", n(now))]);
            self.send(&erase).await?;
        }
        Ok(())
    }
}

/// Returns the entry of the account's first grant if it is missing from the ledger. `None` if the
/// ledger contains it, or if the account can't have a first grant. `import` is the source of an
/// imported account's balance.
fn first_grant(
    account: &Account,
    import: Option<&StoredSource>,
    totals: &LedgerTotals,
) -> Option<Entry> {
    if totals.has_grant {
        return None;
    }
    if let Some(import) = import {
        return Some(imported_grant(account, import.amount, import.source()));
    }
    let granted = i128::from(account.granted.get()) - totals.granted;
    let amount = i64::try_from(granted).ok().filter(|amount| *amount >= 0)?;
    Some(Entry::first_grant(account, amount, "registration", &account.id))
}
