//! Accounts and chats that are imported from other systems, and the record of imports.
//!
//! An import may be interrupted at any moment and run again. The ids of accounts and chats are
//! derived from the other system's data, so a condition on each write refuses a second copy.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::stream::{StreamExt, TryStreamExt, iter};
use uuid::Uuid;

use crate::clock::Day;
use crate::store::accounts::addresses::Claim;
use crate::store::chats::items::NEW_CHAT;
use crate::store::schema::{
    IMPORTS, account_pk, claim_pk, costs_pk, figures_pk, pk, source_pk, spenders_pk,
};
use crate::store::sources::{StoredSource, sources as stored_sources};
use crate::store::{
    MANAGE, NEW, Result, Store, StoreError, Transaction, Write, from_item, s, text, to_item,
};
use crate::values::{Account, Chat, Email, Entry, Imports, Source, hash_kind};

/// How many items one `BatchGetItem` accepts.
const BATCH: usize = 100;

/// How many deletes are sent at a time.
const DELETES_AT_ONCE: usize = 8;

/// The maximum number of chats that one transaction stores. Including their ledger rows and the
/// check of the account, the transaction contains 99 items; DynamoDB allows 100.
const CHATS: usize = 49;

/// The maximum total size of the chats in one transaction, in bytes. DynamoDB allows 4 MB.
const TRANSACTION_BYTES: usize = 2_000_000;

/// The reason given in imported ledger rows, for human readers.
const IMPORTED: &str = "imported";

/// The outcome of importing an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// The account was created.
    New,
    /// The account already exists, because an earlier import created it.
    Known,
    /// The account was imported before, and has been deleted since.
    Deleted,
    /// The username belongs to another account.
    NameTaken,
    /// Another account claims the address.
    AddressTaken,
}

/// How many accounts exist, and how many of them have an imported hash, by kind of hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashCounts {
    /// How many accounts exist.
    pub accounts: u64,
    /// How many accounts have an imported hash, by kind of hash.
    pub kinds: BTreeMap<String, u64>,
}

impl HashCounts {
    /// Returns the number of accounts with an imported hash of this kind.
    fn with_hash(&self, kind: &str) -> u64 {
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    /// Counts an account, and its imported hash if the hash is still valid. An earlier release that
    /// doesn't support imported hashes leaves the hash in the account when it sets a new password.
    pub fn count(&mut self, account: &Account) {
        self.accounts += 1;
        if let Some(imported) = account.imported_hash() {
            *self.kinds.entry(hash_kind(imported)).or_default() += 1;
        }
    }
}

impl Store {
    /// Returns the record of imports. `None` if nothing was imported.
    pub async fn imports(&self) -> Result<Option<Imports>> {
        self.get(&self.tables.tokens, pk(IMPORTS)).await
    }

    /// Replaces the record of imports, if its version still equals `seen`. Returns false if another
    /// import or a census has replaced the record. Idempotent.
    pub async fn record_imports(&self, new: &Imports, seen: Option<&str>) -> Result<bool> {
        let mut item = to_item(new)?;
        item.extend(pk(IMPORTS));
        let put = Write::put(&self.tables.tokens, item);
        let put = match seen {
            None => put.condition("attribute_not_exists(pk) OR version = :new"),
            Some(seen) => {
                put.condition("version = :seen OR version = :new").values([(":seen", s(seen))])
            }
        };
        Ok(self.send(&put.values([(":new", s(&new.version))])).await?.is_applied())
    }

    /// Records that all of an import's accounts exist, and counts their hashes.
    pub async fn end_import(&self) -> Result<()> {
        let Some(mut seen) = self.imports().await?.filter(|seen| seen.is_unfinished) else {
            return Ok(());
        };
        let counted = self.count_hashes().await?;
        // The stored numbers are the ones that were expected before the import began. Some accounts
        // may have been refused since then.
        seen.accounts = counted.accounts;
        for hashes in &mut seen.hashes {
            hashes.imported = counted.with_hash(&hashes.kind);
        }
        self.replace_counts(&seen, &counted).await
    }

    /// Records how many imported hashes remain, unless an import is unfinished.
    pub(in crate::store) async fn recount_imports(
        &self,
        seen: &Imports,
        counted: &HashCounts,
    ) -> Result<()> {
        if seen.hashes.is_empty() || seen.is_unfinished {
            return Ok(());
        }
        self.replace_counts(seen, counted).await
    }

    async fn replace_counts(&self, seen: &Imports, counted: &HashCounts) -> Result<()> {
        let mut new = Imports {
            version: Uuid::new_v4().to_string(),
            accounts_now: counted.accounts,
            is_unfinished: false,
            ..seen.clone()
        };
        for hashes in &mut new.hashes {
            hashes.left = counted.with_hash(&hashes.kind);
        }
        if counted.kinds.is_empty() {
            new.hashes.clear();
        }
        // If another import has begun in the meantime, its counts are newer, and this write is
        // refused.
        self.record_imports(&new, Some(&seen.version)).await.map(drop)
    }

    /// Counts all accounts and their imported hashes.
    ///
    /// # Errors
    /// Fails if the store fails, or if an account can't be read.
    pub async fn count_hashes(&self) -> Result<HashCounts> {
        let mut counts = HashCounts::default();
        let unreadable = self.each_account(|account| counts.count(account)).await?;
        unreadable.map_or(Ok(counts), Err)
    }

    /// Returns the given sources that have granted credits, with their amounts.
    pub async fn used_sources(
        &self,
        sources: impl Iterator<Item = &Source>,
    ) -> Result<HashMap<Source, i64>> {
        let keys: Vec<_> = sources.map(|source| pk(source_pk(source))).collect();
        let mut used = HashMap::new();
        for some in keys.chunks(BATCH) {
            let items = self.items(&self.tables.tokens, some.to_vec()).await?;
            let stored = stored_sources(&items)?;
            used.extend(stored.iter().map(|stored| (stored.source(), stored.amount)));
        }
        Ok(used)
    }

    /// Returns the accounts with these usernames, keyed by username. `names` are key forms.
    /// Includes deleted accounts.
    pub async fn accounts_with_names(
        &self,
        names: impl Iterator<Item = &str>,
    ) -> Result<HashMap<String, Account>> {
        let keys: Vec<_> = names.map(|name| pk(account_pk(name))).collect();
        let mut found = HashMap::new();
        for some in keys.chunks(BATCH) {
            for item in self.items(&self.tables.users, some.to_vec()).await? {
                let account: Account = from_item(item)?;
                found.insert(account.label.clone(), account);
            }
        }
        Ok(found)
    }

    /// Returns the ids of the accounts that claim these addresses, keyed by address. `addresses`
    /// are key forms.
    pub async fn claimants(
        &self,
        addresses: impl Iterator<Item = &str>,
    ) -> Result<HashMap<String, String>> {
        let addresses: Vec<&str> = addresses.collect();
        let mut found = HashMap::new();
        for some in addresses.chunks(BATCH) {
            let keys = some.iter().map(|address| pk(claim_pk(address))).collect();
            let of_pk: HashMap<String, &str> =
                some.iter().map(|address| (claim_pk(address), *address)).collect();
            for item in self.items(&self.tables.users, keys).await? {
                if let Some(address) = of_pk.get(text(&item, "pk")) {
                    found.insert((*address).to_owned(), text(&item, "id").to_owned());
                }
            }
        }
        Ok(found)
    }

    /// Creates an imported account in one transaction, which also grants the account its balance
    /// and claims its address. `source` identifies the account in the other system, so its balance
    /// is granted only once. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Throttled`] if DynamoDB throttles the transaction. The transaction isn't
    /// retried in this case.
    pub async fn import_account(
        &self,
        account: &Account,
        email: Option<&Email>,
        source: Source,
    ) -> Result<ImportOutcome> {
        let grant = imported_grant(account, account.granted.signed(), source);
        let mut writes = vec![
            Write::put(&self.tables.users, to_item(account)?).condition(NEW).shows_item(),
            self.put_entry(&grant)?,
        ];
        let source_at = writes.len();
        let source = StoredSource::of(&grant);
        writes.extend(source.as_ref().map(|source| self.use_source(source)).transpose()?);
        let claim_at = writes.len();
        if let Some(email) = email {
            let claim = to_item(Claim::new(account, email.key(), account.email_verified))?;
            writes.push(Write::put(&self.tables.users, claim).condition(NEW));
        }
        if account.administers() {
            writes.push(self.note_administrator(&account.id));
        }
        let refusals =
            match self.transact_unless_throttled(writes, &Uuid::new_v4().to_string()).await? {
                Transaction::Applied => return Ok(ImportOutcome::New),
                Transaction::Refused(refusals) => refusals,
            };
        match refusals.item(0).map(from_item::<Account>).transpose()? {
            Some(existing) if existing.id == account.id && existing.deleted.is_none() => {
                Ok(ImportOutcome::Known)
            }
            Some(existing) if existing.id == account.id => Ok(ImportOutcome::Deleted),
            Some(_) => Ok(ImportOutcome::NameTaken),
            None if refusals.has(claim_at) && !refusals.has(source_at) => {
                Ok(ImportOutcome::AddressTaken)
            }
            None => Ok(ImportOutcome::Deleted),
        }
    }

    /// Returns the ids of the account's ledger rows, including those of imported chats.
    pub async fn row_ids(&self, user_id: &str) -> Result<HashSet<String>> {
        let rows = self.rows_of(user_id, Some("entry_id")).await?;
        Ok(rows.iter().map(|row| text(row, "entry_id").to_owned()).collect())
    }

    /// Stores as many of the account's `chats` as fit into one transaction, starting with the
    /// first. Each chat gets a ledger row whose amount is 0. Returns the number of stored chats.
    /// `None` if the account was deleted, or if some of these chats were already imported.
    /// Idempotent.
    ///
    /// # Errors
    /// The errors of [`Store::import_account`]. If the transaction is throttled, a smaller number
    /// of chats may succeed.
    pub async fn import_chats(
        &self,
        account: &Account,
        chats: impl Iterator<Item = &Chat>,
    ) -> Result<Option<usize>> {
        let there = Write::check(&self.tables.users, pk(&account.pk))
            .condition("id = :id AND attribute_not_exists(deleted)")
            .values([(":id", s(&account.id))]);
        let (mut writes, mut count, mut bytes) = (vec![there], 0, 0);
        for chat in chats.take(CHATS) {
            bytes += chat.size();
            if bytes > TRANSACTION_BYTES && count > 0 {
                break;
            }
            let row = Entry { reason: IMPORTED.to_owned(), ..Entry::of_chat(chat) };
            writes.push(Write::put(&self.tables.chats, to_item(chat)?).condition(NEW_CHAT));
            writes.push(self.put_entry(&row)?);
            count += 1;
        }
        match self.transact_unless_throttled(writes, &Uuid::new_v4().to_string()).await? {
            Transaction::Applied => Ok(Some(count)),
            Transaction::Refused(_) => Ok(None),
        }
    }

    /// Deletes the stored figures of these days, because an import has added ledger rows to them.
    /// The next request for a day's figures counts its rows again. Returns the number of deleted
    /// items.
    pub async fn forget_figures(&self, first: Day, last: Day) -> Result<usize> {
        let days: Vec<Day> = (0..first.days_to(last)).map(|later| first.after(later)).collect();
        let mut forgotten = 0;
        for of in [figures_pk, spenders_pk, costs_pk] {
            for some in days.chunks(BATCH) {
                let keys = some.iter().map(|day| pk(of(*day))).collect();
                let stored = self.parts_of_items(&self.tables.tokens, keys, Some("pk")).await?;
                let deletes: Vec<Write> = stored
                    .iter()
                    .map(|item| Write::delete(&self.tables.tokens, pk(text(item, "pk"))))
                    .collect();
                forgotten += deletes.len();
                let sends = deletes.iter().map(|delete| async { self.send(delete).await });
                let sent = iter(sends).buffer_unordered(DELETES_AT_ONCE);
                sent.try_for_each(|_| std::future::ready(Ok::<_, StoreError>(()))).await?;
            }
        }
        Ok(forgotten)
    }
}

/// Returns the ledger entry that grants an imported account its balance.
pub(in crate::store) fn imported_grant(account: &Account, amount: i64, source: Source) -> Entry {
    Entry { source: Some(source), ..Entry::first_grant(account, amount, IMPORTED, MANAGE) }
}
