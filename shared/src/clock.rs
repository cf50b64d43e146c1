//! The time, and ids that sort by it. A clock can be moved, so that tests see leases and tokens end without waiting.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use uuid::{ContextV7, Timestamp, Uuid};

const RFC3339: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The system's clock plus an offset. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The milliseconds since 1970 at which it stands still, if it does.
    stands_at: Option<u64>,
    offset_ms: Arc<AtomicI64>,
    /// Keeps the ids of one process in the order in which they were made, within a millisecond too.
    order: Arc<Mutex<ContextV7>>,
}

impl Clock {
    /// A clock that stands still, at so many milliseconds since 1970, but for [`Clock::advance`]: for tests that must come out the same.
    pub fn standing(millis: u64) -> Self {
        Self { stands_at: Some(millis), ..Self::default() }
    }

    /// Milliseconds since 1970.
    pub fn millis(&self) -> u64 {
        let system = self.stands_at.unwrap_or_else(|| {
            let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
            u64::try_from(system.as_millis()).unwrap_or(u64::MAX)
        });
        system.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Seconds since 1970, as tokens and leases count.
    pub fn seconds(&self) -> u64 {
        self.millis() / 1000
    }

    /// A new UUIDv7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)): ids sort by their time.
    pub fn id(&self) -> Uuid {
        let millis = self.millis();
        let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*order, millis / 1000, nanos))
    }

    /// Moves this clock and its clones: for tests of what time does.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// `2026-11-20T06:44:40.123Z`, the form of every time in a reply.
pub fn rfc3339(millis: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok().and_then(|time| time.format(RFC3339).ok()).unwrap_or_default()
}

/// `2026-11`, the partition of the indexes by time.
pub fn month(millis: u64) -> String {
    rfc3339(millis).get(..7).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_in_the_order_in_which_they_were_made() {
        let clock = Clock::default();
        let ids: Vec<Uuid> = (0..1000).map(|_| clock.id()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn a_time_is_shown_in_utc_with_its_milliseconds() {
        assert_eq!(rfc3339(1_795_132_800_123), "2026-11-20T00:00:00.123Z");
        assert_eq!(month(1_795_132_800_123), "2026-11");
    }
}
