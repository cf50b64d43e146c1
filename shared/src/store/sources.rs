//! Sources of named grants. The transaction of a named grant also writes the source's item, which
//! is never deleted, so each source grants credits only once.

use serde::{Deserialize, Serialize};

use crate::store::schema::{SOURCE, entry_key, pk, source_pk};
use crate::store::{Item, NEW, Result, Store, Write, from_item, text, to_item};
use crate::values::{Entry, Source};

/// A source that has granted credits. The account's id isn't stored in the `user_id` attribute,
/// because every item that has this attribute is erased with the account, but sources must be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct StoredSource {
    /// `source:<kind>:<id>`.
    pk: String,
    /// The id of the account that received the credits.
    pub(in crate::store) account: String,
    /// The id of the grant's ledger entry.
    pub(in crate::store) row: String,
    /// How many credits were granted.
    pub(in crate::store) amount: i64,
}

impl StoredSource {
    /// Returns the source of an entry. `None` if the entry has no source.
    pub(in crate::store) fn of(entry: &Entry) -> Option<Self> {
        let source = entry.source.as_ref()?;
        Some(Self {
            pk: source_pk(source),
            account: entry.user_id.clone(),
            row: entry.entry_id.clone(),
            amount: entry.amount,
        })
    }

    /// Returns true if the source granted the account's first credits.
    pub(in crate::store) fn is_first_grant(&self) -> bool {
        self.row == self.account
    }

    /// Returns the source to which the entry refers.
    pub(in crate::store) fn source(&self) -> Source {
        Source::stored(self.text())
    }

    /// Returns the source's stored form, `<kind>:<id>`.
    pub(in crate::store) fn text(&self) -> &str {
        self.pk.strip_prefix(SOURCE).unwrap_or_default()
    }
}

impl Store {
    /// A write that records the source, unless the source has granted credits before.
    pub(in crate::store) fn use_source(&self, source: &StoredSource) -> Result<Write> {
        Ok(Write::put(&self.tables.tokens, to_item(source)?).condition(NEW))
    }

    /// Returns the id of the ledger row that grants the source's credits. `None` if the source
    /// hasn't granted credits. Strongly consistent.
    pub async fn row_of(&self, source: &Source) -> Result<Option<String>> {
        let used: Option<StoredSource> =
            self.get(&self.tables.tokens, pk(source_pk(source))).await?;
        Ok(used.map(|used| used.row))
    }

    /// Returns true if this source is stored with the same account, ledger entry and amount.
    pub(in crate::store) async fn is_stored(&self, source: &StoredSource) -> Result<bool> {
        let stored: Option<StoredSource> = self.get(&self.tables.tokens, pk(&source.pk)).await?;
        Ok(stored.as_ref() == Some(source))
    }

    /// Returns true if the ledger contains the source's entry with the same account and amount.
    pub(in crate::store) async fn has_entry_of(&self, source: &StoredSource) -> Result<bool> {
        let key = entry_key(&source.account, &source.row);
        let entry: Option<Entry> = self.get(&self.tables.ledger, key).await?;
        Ok(entry.as_ref().and_then(StoredSource::of).as_ref() == Some(source))
    }

    /// Writes the missing source of an entry in restored tables. Returns true if it was missing.
    pub(in crate::store) async fn restore_source(&self, source: &StoredSource) -> Result<bool> {
        Ok(self.send(&self.use_source(source)?).await?.is_applied())
    }

    /// Deletes a source from restored tables if its entry is missing from the ledger, which means
    /// that its credits were never granted. Returns true if the entry was missing.
    pub(in crate::store) async fn undo_source(&self, source: &StoredSource) -> Result<bool> {
        if self.has_entry_of(source).await? {
            return Ok(false);
        }
        self.send(&Write::delete(&self.tables.tokens, pk(&source.pk))).await?;
        Ok(true)
    }
}

/// Returns the sources among these items from the Tokens table.
pub(in crate::store) fn sources(items: &[Item]) -> Result<Vec<StoredSource>> {
    let is_source = |item: &&Item| text(item, "pk").starts_with(SOURCE);
    items.iter().filter(is_source).cloned().map(from_item).collect()
}
