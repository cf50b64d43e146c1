//! The lists that an administrator replaces as a whole: the model price list, the list of credit
//! packs, and the brand, which is stored like them. The Tokens table contains the current ones under
//! `models:current`, `packs:current` and `brand:current`, and every version under its own key,
//! because chats refer to the version that priced them.

use std::collections::HashMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Clock;
use crate::store::schema::{BRANDS, MODELS, PACKS, pk};
use crate::store::{Result, Store, StoreError, Transaction, Write, s, to_item};
use crate::values::{
    Act, AdminAct, Administrator, BRAND_ACT, Brand, ListVersion, PACKS_ACT, PRICES, Packs,
    PriceList, Problem,
};

/// A list that is stored with all its versions.
pub trait VersionedList: FromStr<Err = Vec<Problem>> + Clone + PartialEq + Send + Sync {
    /// The prefix of the keys.
    const KEYS: &'static str;

    /// The stored kind of the action that changes the list.
    const ACT: &'static str;

    /// Reads a stored list. An earlier release may have stored a list that can't be set anymore.
    fn of_stored(json: &str) -> Result<Self, Vec<Problem>> {
        json.parse()
    }

    /// Returns the list as JSON with its fields in a fixed order.
    fn canonical(&self) -> String;

    /// Returns the version. Lists with the same content have the same version.
    fn version(&self) -> String;
}

impl VersionedList for PriceList {
    const KEYS: &'static str = MODELS;
    const ACT: &'static str = PRICES;

    fn canonical(&self) -> String {
        self.canonical()
    }

    fn version(&self) -> String {
        self.version()
    }
}

impl VersionedList for Packs {
    const KEYS: &'static str = PACKS;
    const ACT: &'static str = PACKS_ACT;

    fn canonical(&self) -> String {
        self.canonical()
    }

    fn version(&self) -> String {
        self.version()
    }
}

impl VersionedList for Brand {
    const KEYS: &'static str = BRANDS;
    const ACT: &'static str = BRAND_ACT;

    fn of_stored(json: &str) -> Result<Self, Vec<Problem>> {
        Self::of_stored(json)
    }

    fn canonical(&self) -> String {
        self.canonical()
    }

    fn version(&self) -> String {
        self.version()
    }
}

/// A stored list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredList<L> {
    /// The list.
    pub list: L,
    /// The list's version, with its author and time.
    pub of: ListVersion,
}

/// A stored price list.
pub type StoredPrices = StoredList<PriceList>;

/// A stored brand.
pub type StoredBrand = StoredList<Brand>;

/// A cache of price list versions. A version never changes.
#[derive(Default)]
pub(in crate::store) struct PriceVersions(HashMap<String, Option<StoredPrices>>);

impl PriceVersions {
    /// Returns a version. Each version is read from the store at most once. `None` if the version
    /// doesn't exist.
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

/// The outcome of [`Store::set_list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetListOutcome<L> {
    /// The list is set. `None` if it was removed.
    Set(Option<StoredList<L>>),
    /// The list was changed after it was read.
    Changed,
}

/// The outcome of setting the price list.
pub type SetPricesOutcome = SetListOutcome<PriceList>;

/// The stored form of a list. The list is stored as a JSON string, so that a release refuses a list
/// with fields that it doesn't support.
#[derive(Serialize, Deserialize)]
struct Stored {
    pk: String,
    list: String,
    #[serde(flatten)]
    of: ListVersion,
}

impl Stored {
    fn new<L: VersionedList>(key: &str, list: &L, of: &ListVersion) -> Self {
        Self { pk: format!("{}{key}", L::KEYS), list: list.canonical(), of: of.clone() }
    }

    fn read<L: VersionedList>(self) -> Result<StoredList<L>> {
        let wrong = |problems: Vec<Problem>| {
            let first = problems.first().map(ToString::to_string).unwrap_or_default();
            let Self { pk, .. } = &self;
            StoreError::Internal(format!(
                "{pk}: the version {} can't be used: {first}",
                self.of.version
            ))
        };
        Ok(StoredList { list: L::of_stored(&self.list).map_err(wrong)?, of: self.of })
    }
}

/// Replaces the version in the key of the current list.
const CURRENT: &str = "current";

impl Store {
    /// Returns the current price list. `None` if no list is set.
    ///
    /// # Errors
    /// [`StoreError::Internal`] if this release can't read the list.
    pub async fn prices(&self) -> Result<Option<StoredPrices>> {
        self.current_list().await
    }

    /// Returns a version of the price list.
    ///
    /// # Errors
    /// The errors of [`Store::prices`].
    pub async fn prices_of(&self, version: &str) -> Result<Option<StoredPrices>> {
        self.stored_list(version).await
    }

    /// Returns the packs that are for sale. `None` if no packs are set.
    ///
    /// # Errors
    /// The errors of [`Store::prices`].
    pub async fn packs(&self) -> Result<Option<StoredList<Packs>>> {
        self.current_list().await
    }

    /// Returns the operator's brand. `None` if no brand is set.
    ///
    /// # Errors
    /// The errors of [`Store::prices`].
    pub async fn brand(&self) -> Result<Option<StoredBrand>> {
        self.current_list().await
    }

    /// Returns the current list. `None` if no list is set.
    ///
    /// # Errors
    /// The errors of [`Store::prices`].
    pub async fn current_list<L: VersionedList>(&self) -> Result<Option<StoredList<L>>> {
        self.stored_list(CURRENT).await
    }

    /// Returns the current list's version, and the list, which is an error if this release can't
    /// read it. An administrator can therefore replace such a list. `None` if no list is set.
    ///
    /// # Errors
    /// The errors of [`Store::prices`], but not for a list that this release can't read.
    pub async fn current_version<L: VersionedList>(
        &self,
    ) -> Result<Option<(ListVersion, Result<L>)>> {
        let stored = self.stored::<L>(CURRENT).await?;
        Ok(stored.map(|stored| (stored.of.clone(), stored.read::<L>().map(|read| read.list))))
    }

    async fn stored_list<L: VersionedList>(&self, version: &str) -> Result<Option<StoredList<L>>> {
        self.stored::<L>(version).await?.map(Stored::read).transpose()
    }

    async fn stored<L: VersionedList>(&self, version: &str) -> Result<Option<Stored>> {
        let key = format!("{}{version}", L::KEYS);
        self.get(&self.tables.tokens, pk(key)).await
    }

    /// Sets or removes a list, if its current version still equals `seen`. The transaction also
    /// records the action. `by` is `None` for the command line. Idempotent: setting the current
    /// list again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] or [`Error::Forbidden`](crate::Error::Forbidden) if the caller
    /// is no longer an administrator.
    pub async fn set_list<L: VersionedList>(
        &self,
        by: Option<&Administrator>,
        list: Option<&L>,
        seen: Option<&str>,
        clock: &Clock,
    ) -> Result<SetListOutcome<L>> {
        let actor = by.map_or(self.operator(), |by| by.account().id.as_str()).to_owned();
        let version = list.map(L::version);
        let of = |version: &str| ListVersion {
            version: version.to_owned(),
            author: actor.clone(),
            time: clock.millis(),
        };
        let new = list
            .zip(version.as_deref())
            .map(|(list, version)| StoredList { list: list.clone(), of: of(version) });
        if version.as_deref() == seen {
            let current = self.stored::<L>(CURRENT).await?;
            let is_current = current.as_ref().map(|current| current.of.version.as_str()) == seen;
            return Ok(match is_current {
                true => SetListOutcome::Set(current.map(Stored::read).transpose()?),
                false => SetListOutcome::Changed,
            });
        }
        let id = clock.id().to_string();
        let act = AdminAct {
            user_id: L::ACT.into(),
            id: id.clone(),
            kind: L::ACT.into(),
            act: Some(Act::Other(L::ACT.into())),
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
            Transaction::Applied => Ok(SetListOutcome::Set(new)),
            // If a copy of this transaction was applied, its action is recorded.
            Transaction::Refused(_) if self.has_act(L::ACT, &id).await? => {
                Ok(SetListOutcome::Set(new))
            }
            Transaction::Refused(_) => {
                if let Some(by) = by {
                    self.administrator(by.caller()).await?;
                }
                Ok(SetListOutcome::Changed)
            }
        }
    }

    /// A write that replaces the current list, if its version still equals `seen`.
    fn change_current<L: VersionedList>(
        &self,
        new: Option<&StoredList<L>>,
        seen: Option<&str>,
    ) -> Result<Write> {
        let write = match new {
            Some(StoredList { list, of }) => {
                Write::put(&self.tables.tokens, to_item(Stored::new(CURRENT, list, of))?)
            }
            None => Write::delete(&self.tables.tokens, pk(format!("{}{CURRENT}", L::KEYS))),
        };
        Ok(match seen {
            Some(seen) => write.condition("version = :seen").values([(":seen", s(seen))]),
            None => write.condition("attribute_not_exists(pk)"),
        })
    }

    /// A write that stores a version. If the version already exists, the write doesn't change it,
    /// because the version is a hash of the content.
    fn keep_version<L: VersionedList>(&self, new: &StoredList<L>) -> Result<Write> {
        let stored = Stored::new(&new.of.version, &new.list, &new.of);
        Ok(Write::put(&self.tables.tokens, to_item(stored)?))
    }
}
