//! The current price list, which functions keep for a minute.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Result;
use crate::clock::Clock;
use crate::error::Error;
use crate::store::{Store, StoredPrices};

/// How long a price list is kept, in seconds. A container may be frozen for hours between two
/// requests, so the list's age is checked before each price.
const KEPT: u64 = 60;

/// The current price list. Clones share the cache.
#[derive(Clone)]
pub struct Prices {
    store: Store,
    clock: Clock,
    known: Arc<RwLock<Option<Known>>>,
}

/// The list at the time when it was read. `None` if there was no list.
struct Known {
    prices: Option<Arc<StoredPrices>>,
    read_at: u64,
}

impl Prices {
    /// Creates a cache that hasn't read the list yet.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock, known: Arc::default() }
    }

    /// Returns the same cache over another connection to the same store.
    #[must_use]
    pub fn over(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// Reads the list.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if the store doesn't answer, and [`Error::Internal`] if this release
    /// doesn't understand the list.
    pub async fn read(&self) -> Result<Option<Arc<StoredPrices>>> {
        let read_at = self.clock.seconds();
        let prices = self.store.prices().await?.map(Arc::new);
        let known = Known { prices: prices.clone(), read_at };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(prices)
    }

    /// Returns the list, which may be a minute old. `None` if there is no list. If the list can't be
    /// read again, the last one stays in use, because the flat price could be far too low.
    ///
    /// # Errors
    /// As [`Prices::read`], if the list was never read.
    pub async fn current(&self) -> Result<Option<Arc<StoredPrices>>> {
        let last = self.last();
        match last {
            Some((prices, read_at)) if self.clock.seconds() < read_at.saturating_add(KEPT) => {
                Ok(prices)
            }
            Some((prices, _)) => Ok(self.read().await.unwrap_or_else(|error| {
                tracing::error!(cause = error.cause(), "the last price list stays in use");
                prices
            })),
            None => self.read().await,
        }
    }

    fn last(&self) -> Option<(Option<Arc<StoredPrices>>, u64)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|known| (known.prices.clone(), known.read_at))
    }
}

/// Returns true if the list was read, but can't be used.
pub(crate) fn is_unusable(error: &Error) -> bool {
    matches!(error, Error::Internal(_))
}
