//! The current time, and ids that sort by time. Tests can move a clock forward to make leases and
//! JWTs expire.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Date, Month, OffsetDateTime};
use uuid::{Builder, ContextV7, NoContext, Timestamp, Uuid};

const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The variable that puts all clocks of a process ahead of the system's clock, in seconds. Releases
/// ignore it (`build.rs`). `scripts/dev/test-at` sets it, so that tests run as if at another time.
pub const CLOCK_AHEAD: &str = "CLOCK_AHEAD_SECONDS";

static AHEAD: LazyLock<Duration> = LazyLock::new(|| {
    let seconds = if cfg!(debug_build) { std::env::var(CLOCK_AHEAD).ok() } else { None };
    Duration::from_secs(seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(0))
});

/// Returns the time since the beginning of 1970. The only function that reads the system's clock.
#[expect(clippy::disallowed_methods, reason = "all other code gets the system's time here")]
pub fn system_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO) + *AHEAD
}

/// The system's clock plus an offset. Clones share the offset.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// The time at which the clock is stopped, in milliseconds since 1970, or `None` if it is
    /// running.
    fixed_at: Option<u64>,
    offset_ms: Arc<AtomicI64>,
    /// Orders the ids that this process creates within the same millisecond.
    order: Arc<Mutex<ContextV7>>,
}

impl Clock {
    /// Creates a clock that is stopped at this time, in milliseconds since 1970. Only
    /// [`Clock::advance`] moves the clock. Used for reproducible tests.
    pub fn standing(millis: u64) -> Self {
        Self { fixed_at: Some(millis), ..Self::default() }
    }

    /// Returns true if only [`Clock::advance`] moves the clock.
    pub fn is_standing(&self) -> bool {
        self.fixed_at.is_some()
    }

    /// Returns the current time in milliseconds since 1970.
    pub fn millis(&self) -> u64 {
        let system = self
            .fixed_at
            .unwrap_or_else(|| u64::try_from(system_time().as_millis()).unwrap_or(u64::MAX));
        system.saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }

    /// Returns the current time in seconds since 1970, the unit of JWTs and leases.
    pub fn seconds(&self) -> u64 {
        self.millis() / 1000
    }

    /// Creates a UUIDv7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)). Ids sort
    /// by creation time.
    pub fn id(&self) -> Uuid {
        let millis = self.millis();
        let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*order, millis / 1000, nanos))
    }

    /// Moves this clock and its clones forward. For tests.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.offset_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// Formats a time like `2026-11-20T06:44:40.123Z`, the format of all times in replies.
pub fn rfc3339(millis: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|time| time.format(RFC3339).ok())
        .unwrap_or_default()
}

/// Formats a time's month, such as `2026-11`. The indexes that are sorted by time are partitioned
/// by month.
pub fn month(millis: u64) -> String {
    rfc3339(millis).get(..7).unwrap_or_default().to_owned()
}

/// Returns the month before this one: `2026-12` for `2027-01`. A string that isn't a month is
/// returned unchanged.
pub fn previous_month(month: &str) -> String {
    let Some(first) = Day::parse(&format!("{month}-01")) else { return month.to_owned() };
    Day(first.0.saturating_sub(1)).month()
}

/// Returns when [`Clock::id`] created this id, in milliseconds since 1970, or `None` if the string
/// isn't a UUIDv7.
pub fn millis_of(id: &str) -> Option<u64> {
    let id = Uuid::try_parse(id).ok().filter(|id| id.get_version_num() == 7)?;
    u64::try_from(id.as_u128() >> 80).ok()
}

/// Returns an id that sorts before every id that is created in this millisecond, and after every
/// earlier id.
pub fn least_id(millis: u64) -> String {
    Uuid::from_u128(u128::from(millis) << 80 | 7 << 76 | 2 << 62).to_string()
}

/// Creates an id for this millisecond. Unlike [`Clock::id`], this function doesn't order ids within
/// a millisecond.
pub fn id_at(millis: u64) -> Uuid {
    let nanos = u32::try_from(millis % 1000).unwrap_or(0) * 1_000_000;
    Uuid::new_v7(Timestamp::from_unix(NoContext, millis / 1000, nanos))
}

/// The first day on which Farebox itself may have stored data. Imported data may be older.
pub const FIRST_DAY: Day = Day(20_758);

/// Returns the id for an item that a different system created in this millisecond. `hash` is a hash
/// of the item's key in that system, and `order` orders the items within the millisecond.
///
/// The id is a UUIDv7. Its [random
/// bits](https://www.rfc-editor.org/rfc/rfc9562#name-monotonicity-and-counters) are `order` and the
/// hash, so the same item always gets the same id.
pub fn foreign_id(millis: u64, order: u16, hash: u64) -> Uuid {
    let random = (u128::from(order) << 64 | u128::from(hash)).to_be_bytes();
    let [.., a, b, c, d, e, f, g, h, i, j] = random;
    let random = [a, b, c, d, e, f, g, h, i, j];
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// Returns the 62 hash bits of an id from [`foreign_id`], or `None` if the string isn't an id.
pub fn foreign_hash(id: &str) -> Option<u64> {
    u64::try_from(Uuid::try_parse(id).ok()?.as_u128() & FOREIGN_HASH).ok()
}

/// The mask for the hash's bits in an id.
const FOREIGN_HASH: u128 = (1 << 62) - 1;

/// Returns true if [`foreign_id`] created the id from this hash.
pub fn is_foreign_id(id: &str, hash: u64) -> bool {
    foreign_hash(id).map(u128::from) == Some(u128::from(hash) & FOREIGN_HASH)
}

const MILLIS_OF_A_DAY: u64 = 24 * 3600 * 1000;

/// A day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u64);

impl Day {
    /// Returns the day that contains this time, in milliseconds since 1970.
    pub fn from_millis(millis: u64) -> Self {
        Self(millis / MILLIS_OF_A_DAY)
    }

    /// Parses a day such as `2026-11-20`. Returns `None` if the string isn't a day, or the day is
    /// before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |text: &str, count: usize| {
            text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let (year, rest) = text.split_once('-').filter(|(year, _)| digits(year, 4))?;
        let (month, day) =
            rest.split_once('-').filter(|(month, day)| digits(month, 2) && digits(day, 2))?;
        let month = Month::try_from(month.parse::<u8>().ok()?).ok()?;
        let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
        u64::try_from(date.midnight().assume_utc().unix_timestamp())
            .ok()
            .map(|seconds| Self::from_millis(seconds * 1000))
    }

    /// Parses a day, and returns when it ends, in seconds since 1970. Returns `None` if the string
    /// isn't a day, or if the day has already ended at the time `now`.
    pub fn end_of(text: &str, now: u64) -> Option<u64> {
        let end = Self::parse(text)?.after(1).begins() / 1000;
        (end > now).then_some(end)
    }

    /// Returns the number of days since 1970.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Returns the day that is this many days after the first day of 1970.
    pub fn from_number(days: u64) -> Self {
        Self(days)
    }

    /// Returns the day's first millisecond.
    pub fn begins(self) -> u64 {
        self.0 * MILLIS_OF_A_DAY
    }

    /// Returns the day that is this many days later.
    #[must_use]
    pub fn after(self, days: u64) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// Returns the day that is this many days earlier.
    #[must_use]
    pub fn before(self, days: u64) -> Self {
        Self(self.0.saturating_sub(days))
    }

    /// Returns the number of days from this day to `last`, including both, or 0 if `last` is
    /// earlier.
    pub fn days_to(self, last: Self) -> u64 {
        (last.0 + 1).saturating_sub(self.0)
    }

    /// Returns the Monday of the day's week.
    #[must_use]
    pub fn monday(self) -> Self {
        // Day 0 was a Thursday.
        Self((self.0 + 3) / 7 * 7).before(3)
    }

    /// Returns the first day of the day's month.
    #[must_use]
    pub fn first_of_month(self) -> Self {
        Self::parse(&format!("{}-01", self.month())).unwrap_or(self)
    }

    /// Returns the first day of the next month.
    #[must_use]
    pub fn next_month(self) -> Self {
        self.first_of_month().after(31).first_of_month()
    }

    /// Returns the day's month, in the format of [`month`].
    pub fn month(self) -> String {
        month(self.begins())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(rfc3339(self.begins()).get(..10).unwrap_or_default())
    }
}

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The numbers from two to nine, written as words.
const WORDS: [&str; 8] = ["two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// Returns a duration in words, such as `an hour` or `two days`. Uses the largest unit in which the
/// duration is a whole number.
pub fn in_words(seconds: u64) -> String {
    let (number, unit) = match seconds {
        seconds if seconds.is_multiple_of(24 * 3600) => (seconds / (24 * 3600), "day"),
        seconds if seconds.is_multiple_of(3600) => (seconds / 3600, "hour"),
        seconds if seconds.is_multiple_of(60) => (seconds / 60, "minute"),
        seconds => (seconds, "second"),
    };
    match (number, unit) {
        (1, "hour") => "an hour".to_owned(),
        (1, unit) => format!("a {unit}"),
        (number, unit) => match (2..).zip(WORDS).find(|(of, _)| *of == number) {
            Some((_, word)) => format!("{word} {unit}s"),
            None => format!("{number} {unit}s"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words_use_their_largest_exact_unit() {
        for (seconds, words) in [
            (3600, "an hour"),
            (24 * 3600, "a day"),
            (2 * 24 * 3600, "two days"),
            (7 * 24 * 3600, "seven days"),
            (12 * 3600, "12 hours"),
            (90 * 60, "90 minutes"),
            (61, "61 seconds"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
    }

    #[test]
    fn ids_sort_by_creation_time() {
        let clock = Clock::default();
        let ids: Vec<Uuid> = (0..1000).map(|_| clock.id()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn times_are_utc_with_milliseconds() {
        assert_eq!(rfc3339(1_795_132_800_123), "2026-11-20T00:00:00.123Z");
        assert_eq!(month(1_795_132_800_123), "2026-11");
    }

    #[test]
    fn ids_contain_their_creation_time() {
        let clock = Clock::standing(1_795_132_800_123);
        let id = clock.id().to_string();
        assert_eq!(millis_of(&id), Some(1_795_132_800_123));
        assert!(least_id(1_795_132_800_123) < id && id < least_id(1_795_132_800_124), "{id}");
        assert_eq!(millis_of(&least_id(5)), Some(5));
        for none in ["", "manage", "00000000-0000-4000-8000-000000000000"] {
            assert_eq!(millis_of(none), None, "{none}");
        }
    }

    #[test]
    fn ids_of_foreign_items_have_their_time_order_and_hash() {
        let id = |millis, order, hash| foreign_id(millis, order, hash).to_string();
        let one = id(1_795_132_800_123, 0, u64::MAX);
        assert_eq!(one, id(1_795_132_800_123, 0, u64::MAX));
        assert_eq!(millis_of(&one), Some(1_795_132_800_123));
        assert!(one < id(1_795_132_800_123, 1, 0), "{one}");
        assert!(is_foreign_id(&one, u64::MAX) && !is_foreign_id(&one, u64::MAX - 1));
        assert!(!is_foreign_id("", 0));
    }

    #[test]
    fn days_parse_and_print_alike() {
        for text in ["1970-01-01", "2024-02-29", "2026-11-20", "9999-12-31"] {
            assert_eq!(Day::parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "2026-11",
            "2026-11-31",
            "2025-02-29",
            "2026-13-01",
            "26-11-20",
            "2026-11-20T00:00:00Z",
            " 2026-11-20",
            "+026-11-20",
            "1969-12-31",
        ] {
            assert_eq!(Day::parse(bad), None, "{bad}");
        }
        let day = Day::parse("2026-11-20").unwrap();
        assert_eq!((day, day.begins()), (Day::from_millis(1_795_132_800_123), 1_795_132_800_000));
        assert_eq!(
            (day.after(11).to_string(), day.before(20).to_string()),
            ("2026-12-01".into(), "2026-10-31".into())
        );
        assert_eq!([day, day.after(1), day.before(1)].map(|first| first.days_to(day)), [1, 0, 2]);
        assert_eq!(FIRST_DAY.to_string(), "2026-11-01");
    }

    #[test]
    fn months_have_a_predecessor() {
        for (previous, month) in [
            ("2026-11", "2026-12"),
            ("2026-12", "2027-01"),
            ("2027-01", "2027-02"),
            ("2027-02", "2027-03"),
        ] {
            assert_eq!(previous_month(month), previous);
        }
        assert_eq!(previous_month("no month"), "no month");
    }
}
