//! Values from the store that functions cache for a minute.

mod refused;

use std::sync::{Arc, PoisonError, RwLock};

use crate::Result;
use crate::clock::Clock;
use crate::error::Error;
use crate::store::{self, Store, StoredBrand, StoredPrices, UsualUsage};
use crate::values::Imports;

pub use self::refused::Refused;

/// The maximum age of a value, in seconds. Lambda may freeze a function for hours between two
/// requests, so the age is checked before each use.
const MAX_AGE: u64 = 60;

/// A value that functions cache. It is stored in a single item that rarely changes.
pub trait Cacheable: Sized + Send + Sync {
    /// The value's name in the log.
    const NAME: &'static str;

    /// Reads the value. Returns `None` if the store doesn't contain it.
    fn read(store: &Store) -> impl Future<Output = store::Result<Option<Self>>> + Send;
}

impl Cacheable for StoredPrices {
    const NAME: &'static str = "price list";

    async fn read(store: &Store) -> store::Result<Option<Self>> {
        store.prices().await
    }
}

impl Cacheable for StoredBrand {
    const NAME: &'static str = "brand";

    async fn read(store: &Store) -> store::Result<Option<Self>> {
        store.brand().await
    }
}

impl Cacheable for UsualUsage {
    const NAME: &'static str = "usual usage";

    async fn read(store: &Store) -> store::Result<Option<Self>> {
        store.usual_usage().await
    }
}

impl Cacheable for Imports {
    const NAME: &'static str = "record of imports";

    async fn read(store: &Store) -> store::Result<Option<Self>> {
        store.imports().await
    }
}

/// A value from the store, which may be a minute old. Clones share the value.
pub struct Cached<V> {
    store: Store,
    clock: Clock,
    known: Arc<RwLock<Option<Known<V>>>>,
}

/// The current price list.
pub type Prices = Cached<StoredPrices>;

/// The operator's brand.
pub type CurrentBrand = Cached<StoredBrand>;

/// A value, and when it was read, in seconds since 1970.
struct Known<V> {
    /// `None` if the store didn't contain the value.
    value: Option<Arc<V>>,
    read_at: u64,
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), clock: self.clock.clone(), known: self.known.clone() }
    }
}

impl<V: Cacheable> Cached<V> {
    /// Creates an instance that hasn't read the value yet.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, known: Arc::default() }
    }

    /// Returns the same cache with a different connection to the store.
    #[must_use]
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// Reads the value.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the store doesn't answer, and [`Error::Internal`] if this
    /// release can't read the value.
    pub async fn read(&self) -> Result<Option<Arc<V>>> {
        let read_at = self.clock.seconds();
        let value = V::read(&self.store).await?.map(Arc::new);
        let known = Known { value: value.clone(), read_at };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(value)
    }

    /// Reads the value when a function starts. If that fails, the first request reads it.
    pub async fn read_at_start(&self) {
        if let Err(error) = self.read().await {
            tracing::warn!(
                cause = error.cause(),
                "the {} could not be read at start; the first request reads it",
                V::NAME
            );
        }
    }

    /// Returns the value, which may be a minute old, or `None` if the store doesn't contain it. If
    /// the value can't be read again, the last one is used. Without the last price list, for
    /// example, messages would cost the flat price, which could be far too low.
    ///
    /// # Errors
    /// Returns the same errors as [`Cached::read`], but only if the value has never been read.
    pub async fn current(&self) -> Result<Option<Arc<V>>> {
        let last = self.last();
        match last {
            Some((value, read_at)) if self.clock.seconds() < read_at.saturating_add(MAX_AGE) => {
                Ok(value)
            }
            Some((value, _)) => Ok(self.read().await.unwrap_or_else(|error| {
                tracing::error!(cause = error.cause(), "the last {} stays in use", V::NAME);
                value
            })),
            None => self.read().await,
        }
    }

    /// Returns the value like [`Cached::current`], but `None` for a value that this release can't
    /// read. Use this function for values that only decide how something looks.
    ///
    /// # Errors
    /// Returns [`Error::Unavailable`] if the store doesn't answer and the value has never been
    /// read.
    pub async fn usable(&self) -> Result<Option<Arc<V>>> {
        self.current().await.or_else(|error| match is_unusable(&error) {
            true => {
                tracing::error!(cause = error.cause(), "the {} can't be used", V::NAME);
                Ok(None)
            }
            false => Err(error),
        })
    }

    fn last(&self) -> Option<(Option<Arc<V>>, u64)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| (known.value.clone(), known.read_at))
    }
}

/// Returns true if the value was read, but is unusable.
pub(crate) fn is_unusable(error: &Error) -> bool {
    matches!(error, Error::Internal(_))
}
