//! The price list in the Tokens table: the current one under `models:current`, and every version
//! under `models:<version>`, because chats name the version by which they were priced.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::schema::{current_prices_pk, pk, prices_pk};
use crate::store::{Result, Store, StoreError, Transaction, Write, s, to_item};
use crate::values::{Act, AdminAct, Administrator, ListVersion, PRICES, PriceList, Problem};

/// A stored price list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPrices {
    /// The list.
    pub list: PriceList,
    /// The list's version, author and time.
    pub of: ListVersion,
}

/// The versions of the price list that were read. A version never changes.
#[derive(Default)]
pub(in crate::store) struct PriceVersions(HashMap<String, Option<StoredPrices>>);

impl PriceVersions {
    /// Returns this version, which is read at most once. `None` if the list never had it.
    pub(in crate::store) async fn get(
        &mut self,
        store: &Store,
        version: &str,
    ) -> Result<Option<&StoredPrices>> {
        if !self.0.contains_key(version) {
            self.0.insert(version.to_owned(), store.prices_of(version).await?);
        }
        Ok(self.0.get(version).and_then(Option::as_ref))
    }
}

/// The outcome of [`Store::set_prices`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetPricesOutcome {
    /// The list is set. `None` if it was removed.
    Set(Option<StoredPrices>),
    /// Someone has changed the list since it was read.
    Changed,
}

/// A price list as the store has it. The list is a text, because releases must not read a list whose
/// fields they don't all understand.
#[derive(Serialize, Deserialize)]
struct Stored {
    pk: String,
    list: String,
    #[serde(flatten)]
    of: ListVersion,
}

impl Stored {
    fn new(pk: String, list: &PriceList, of: &ListVersion) -> Self {
        Self { pk, list: list.canonical(), of: of.clone() }
    }

    fn read(self) -> Result<StoredPrices> {
        let wrong = |problems: Vec<Problem>| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            StoreError::Internal(format!(
                "the price list {} can't be used: {first}",
                self.of.version
            ))
        };
        Ok(StoredPrices { list: self.list.parse().map_err(wrong)?, of: self.of })
    }
}

impl Store {
    /// Returns the current price list. `None` if no list is set.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if this release doesn't understand the list.
    pub async fn prices(&self) -> Result<Option<StoredPrices>> {
        self.prices_at(current_prices_pk()).await
    }

    /// Returns a version of the price list.
    ///
    /// # Errors
    /// As [`Store::prices`].
    pub async fn prices_of(&self, version: &str) -> Result<Option<StoredPrices>> {
        self.prices_at(prices_pk(version)).await
    }

    async fn prices_at(&self, key: String) -> Result<Option<StoredPrices>> {
        let stored: Option<Stored> = self.get(&self.tables.tokens, pk(key)).await?;
        stored.map(Stored::read).transpose()
    }

    /// Sets or removes the price list, if its current version is still `seen`. The same transaction
    /// records the act. `by` is `None` for the command line. Idempotent: setting the current list
    /// again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] and [`StoreError::NotAdministrator`] if the caller is no longer
    /// an administrator.
    pub async fn set_prices(
        &self,
        by: Option<&Administrator>,
        list: Option<&PriceList>,
        seen: Option<&str>,
        clock: &Clock,
    ) -> Result<SetPricesOutcome> {
        let actor = by.map_or("manage", |by| by.account().id.as_str()).to_owned();
        let version = list.map(PriceList::version);
        let of = |version: &str| ListVersion {
            version: version.to_owned(),
            author: actor.clone(),
            time: clock.millis(),
        };
        let new = list
            .zip(version.as_deref())
            .map(|(list, version)| StoredPrices { list: list.clone(), of: of(version) });
        if version.as_deref() == seen {
            let current = self.prices().await?;
            let is_current = current.as_ref().map(|current| current.of.version.as_str()) == seen;
            return Ok(match is_current {
                true => SetPricesOutcome::Set(current),
                false => SetPricesOutcome::Changed,
            });
        }
        let id = clock.id().to_string();
        let act = AdminAct {
            user_id: PRICES.into(),
            id: id.clone(),
            kind: PRICES.into(),
            act: Some(Act::Other(PRICES.into())),
            intervention: None,
            reason: version.clone().unwrap_or_default(),
            actor,
            granted: None,
            time: clock.millis(),
        };
        let mut writes = vec![self.change_current(new.as_ref(), seen)?, self.put_act(&act)?];
        writes.extend(new.as_ref().map(|new| self.keep_version(new)).transpose()?);
        writes.extend(by.map(|by| self.is_administrator(by.caller())));
        match self.transact(writes, &Uuid::new_v4().to_string()).await? {
            Transaction::Applied => Ok(SetPricesOutcome::Set(new)),
            // If a copy of this transaction was applied, its act is recorded.
            Transaction::Refused(_) if self.has_act(PRICES, &id).await? => {
                Ok(SetPricesOutcome::Set(new))
            }
            Transaction::Refused(_) => {
                if let Some(by) = by {
                    self.administrator(by.caller()).await?;
                }
                Ok(SetPricesOutcome::Changed)
            }
        }
    }

    /// The write that replaces the current list, if its version is still `seen`.
    fn change_current(&self, new: Option<&StoredPrices>, seen: Option<&str>) -> Result<Write> {
        let key = current_prices_pk();
        let write = match new {
            Some(StoredPrices { list, of }) => {
                Write::put(&self.tables.tokens, to_item(Stored::new(key, list, of))?)
            }
            None => Write::delete(&self.tables.tokens, pk(key)),
        };
        Ok(match seen {
            Some(seen) => write.condition("version = :seen").values([(":seen", s(seen))]),
            None => write.condition("attribute_not_exists(pk)"),
        })
    }

    /// The write that keeps a version. A version that was current before keeps its content, because
    /// the version is the content's hash.
    fn keep_version(&self, new: &StoredPrices) -> Result<Write> {
        let stored = Stored::new(prices_pk(&new.of.version), &new.list, &new.of);
        Ok(Write::put(&self.tables.tokens, to_item(stored)?))
    }
}
