//! Lists of all users' items, sorted by time. An index partitions the items by month or day and
//! spreads each period over shards, so that no partition grows too large. The cost of a page
//! depends on the items that it shows and not on the total number of items.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::operation::query::QueryOutput;
use futures_util::future::try_join_all;
use serde::de::DeserializeOwned;

use crate::Error;
use crate::clock::{Day, FIRST_DAY, least_id, millis_of, month, previous_month};
use crate::store::read::{names, values};
use crate::store::{Item, Result, Store, StoreError, from_item, is_id, s};

/// The maximum number of queries for one page. Empty months cost queries, too.
const QUERIES: usize = 48;

/// How many items are read from each partition at a time.
const STEP: i32 = 100;

/// A string that sorts after every id.
const AFTER_ALL: &str = "~";

/// An index that sorts items by time.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Timeline<'t> {
    pub(in crate::store) table: &'t str,
    pub(in crate::store) index: &'static str,
    /// The index's partition key: `<yyyy-mm>#<shard>`, without the shard if there is only one.
    pub(in crate::store) partition: &'static str,
    /// The index's sort key, a UUIDv7.
    pub(in crate::store) id: &'static str,
    pub(in crate::store) shards: u8,
}

/// Where a page of a list that is sorted by time begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageStart {
    /// Begins with the newest item older than this id.
    Before(String),
    /// Begins with the newest item of this month.
    In(String),
}

impl PageStart {
    /// Parses a cursor.
    ///
    /// # Errors
    /// [`Error::InvalidCursor`].
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            id if is_id(id) => Ok(Self::Before(id.to_owned())),
            month if Day::parse(&format!("{month}-01")).is_some() => Ok(Self::In(month.to_owned())),
            _ => Err(StoreError::Refused(Error::InvalidCursor)),
        }
    }
}

/// The period that can contain data: from the first day with data until now. Lists end with the
/// month that contains the first day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPeriod {
    /// The first day with data.
    pub first: Day,
    /// The current time in milliseconds since 1970.
    pub now: u64,
}

impl DataPeriod {
    /// Returns the period that can contain data other than imported data.
    pub(in crate::store) fn without_imports(now: u64) -> Self {
        Self { first: FIRST_DAY, now }
    }

    /// Returns true if this day can contain data.
    pub fn has(self, day: Day) -> bool {
        (self.first..=Day::from_millis(self.now)).contains(&day)
    }
}

/// An inclusive range of days. `None` leaves that end open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first day.
    pub first: Option<Day>,
    /// The last day.
    pub last: Option<Day>,
}

impl Span {
    /// Returns the position at which a list for these days begins. `None` if it begins with the
    /// newest item overall.
    pub fn begin(self, now: u64) -> Option<PageStart> {
        let end = self.last.map(|last| last.after(1).begins()).filter(|end| *end <= now)?;
        Some(PageStart::Before(least_id(end)))
    }

    /// Returns the smallest id that is newer than all ids from these days. `None` if the last day
    /// is open.
    pub fn after_last(self) -> Option<String> {
        self.last.map(|last| least_id(last.after(1).begins()))
    }

    /// Returns a string that sorts before all ids from these days, and after all older ids.
    pub fn least(self) -> String {
        self.first.map(|first| least_id(first.begins())).unwrap_or_default()
    }
}

impl fmt::Display for PageStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Before(text) | Self::In(text)) = self;
        f.write_str(text)
    }
}

impl Timeline<'_> {
    /// Returns the partitions for a month or day.
    pub(in crate::store) fn partitions(&self, of: &str) -> Vec<String> {
        match self.shards {
            1 => vec![of.to_owned()],
            shards => (0..shards).map(|shard| format!("{of}#{shard}")).collect(),
        }
    }

    /// The maximum number of queries per shard for one page.
    fn rounds(&self) -> usize {
        (QUERIES / usize::from(self.shards)).max(1)
    }

    fn names(&self) -> Option<HashMap<String, String>> {
        names([("#partition", self.partition), ("#id", self.id)])
    }

    fn id_of<'i>(&self, item: &'i Item) -> &'i str {
        item.get(self.id).and_then(|id| id.as_s().ok()).map_or("", String::as_str)
    }
}

impl Store {
    /// Returns at most `count` items of a list, newest first, starting at `start` or in the current
    /// month. Also returns where the next page begins, if there may be one. If the months contain
    /// few items, the page may be short or empty.
    pub(in crate::store) async fn newest(
        &self,
        list: Timeline<'_>,
        start: Option<&PageStart>,
        period: DataPeriod,
        count: usize,
    ) -> Result<(Vec<Item>, Option<PageStart>)> {
        let (mut of, before) = begin(start, period.now)?;
        let (mut before, mut next) = (before.to_owned(), None);
        let mut found = Vec::new();
        for _ in 0..list.rounds() {
            let wanted = i32::try_from(count + 1 - found.len()).unwrap_or(i32::MAX);
            let (items, end) = self.newest_before(list, &of, &before, wanted).await?;
            found.extend(items);
            if found.len() > count {
                found.truncate(count);
                let next = found.last().map(|last| PageStart::Before(list.id_of(last).to_owned()));
                return Ok((found, next));
            }
            match end {
                Some(id) => {
                    next = Some(PageStart::Before(id.clone()));
                    before = id;
                }
                None if of <= period.first.month() => return Ok((found, None)),
                None => {
                    of = previous_month(&of);
                    next = Some(PageStart::In(of.clone()));
                }
            }
        }
        Ok((found, next))
    }

    /// Like [`Store::newest`], but returns only the items for which `read` returns a value, down to
    /// the id `least`. Reads a bounded number of items, so a page may be short or empty; the next
    /// page continues where this page ended.
    pub(in crate::store) async fn newest_of<T>(
        &self,
        list: Timeline<'_>,
        start: Option<&PageStart>,
        period: DataPeriod,
        least: &str,
        count: usize,
        read: impl Fn(Item) -> Result<Option<T>>,
    ) -> Result<(Vec<T>, Option<PageStart>)> {
        let (mut of, before) = begin(start, period.now)?;
        let (mut before, mut next) = (before.to_owned(), None);
        let last_month = millis_of(least).map_or_else(String::new, month).max(period.first.month());
        let mut found = Vec::new();
        // Begin with few items. If `read` accepts most of them, the page costs no more than a page
        // without a filter.
        let mut limit = i32::try_from(count + 1).unwrap_or(i32::MAX);
        for _ in 0..list.rounds() {
            let (items, end) = self.newest_before(list, &of, &before, limit).await?;
            for item in items {
                let id = list.id_of(&item).to_owned();
                if id.as_str() < least {
                    return Ok((found, None));
                }
                found.extend(read(item)?);
                if found.len() == count {
                    return Ok((found, Some(PageStart::Before(id))));
                }
            }
            match end {
                Some(id) => {
                    next = Some(PageStart::Before(id.clone()));
                    before = id;
                }
                None if of <= last_month => return Ok((found, None)),
                None => {
                    of = previous_month(&of);
                    next = Some(PageStart::In(of.clone()));
                }
            }
            limit = STEP;
        }
        Ok((found, next))
    }

    /// Returns the newest items of a month that are older than the id `before`. Reads at most
    /// `limit` items from each partition. If the month may contain older items, also returns the id
    /// of the last returned item.
    async fn newest_before(
        &self,
        list: Timeline<'_>,
        of: &str,
        before: &str,
        limit: i32,
    ) -> Result<(Vec<Item>, Option<String>)> {
        let (mut items, mut end) = (Vec::new(), None::<String>);
        for lane in self.lanes_before(list, of, before, limit).await? {
            let some = lane.items.unwrap_or_default();
            // A partition whose result was truncated may have unread items that sort before other
            // partitions' items.
            let cut = some.last().filter(|_| lane.last_evaluated_key.is_some());
            end = end.max(cut.map(|cut| list.id_of(cut).to_owned()));
            items.extend(some);
        }
        items.retain(|item| end.as_deref().is_none_or(|end| list.id_of(item) >= end));
        items.sort_by(|one, other| list.id_of(other).cmp(list.id_of(one)));
        Ok((items, end))
    }

    /// Queries every partition of a month for at most `limit` items older than the id `before`.
    async fn lanes_before(
        &self,
        list: Timeline<'_>,
        of: &str,
        before: &str,
        limit: i32,
    ) -> Result<Vec<QueryOutput>> {
        let lanes = list.partitions(of).into_iter().map(|partition| {
            self.client
                .query()
                .table_name(list.table)
                .index_name(list.index)
                .key_condition_expression("#partition = :partition AND #id < :before")
                .set_expression_attribute_names(list.names())
                .set_expression_attribute_values(values([
                    (":partition", s(partition)),
                    (":before", s(before)),
                ]))
                .scan_index_forward(false)
                .limit(limit)
                .send()
        });
        Ok(try_join_all(lanes).await?)
    }

    /// Returns some of a day's items in these partitions, oldest first, starting after the id
    /// `after`. Also returns the last id, if there may be more items.
    pub(in crate::store) async fn of_day<T: DeserializeOwned>(
        &self,
        list: Timeline<'_>,
        partitions: &[String],
        day: Day,
        after: Option<&str>,
    ) -> Result<(Vec<T>, Option<String>)> {
        let (first, until) = (least_id(day.begins()), least_id(day.after(1).begins()));
        let after = after.unwrap_or(&first);
        let lanes = partitions.iter().map(|partition| {
            self.client
                .query()
                .table_name(list.table)
                .index_name(list.index)
                .key_condition_expression(
                    "#partition = :partition AND #id BETWEEN :after AND :until",
                )
                .set_expression_attribute_names(list.names())
                .set_expression_attribute_values(values([
                    (":partition", s(partition)),
                    (":after", s(after)),
                    (":until", s(&until)),
                ]))
                .limit(STEP)
                .send()
        });
        let (mut found, mut ends) = (Vec::new(), Vec::new());
        for lane in try_join_all(lanes).await? {
            let items = lane.items.unwrap_or_default();
            ends.extend(
                items
                    .last()
                    .filter(|_| lane.last_evaluated_key.is_some())
                    .map(|last| list.id_of(last).to_owned()),
            );
            found.extend(items);
        }
        // A partition whose result was truncated may have unread items that sort before other
        // partitions' items.
        let end = ends.into_iter().min();
        found.retain(|item| {
            list.id_of(item) != after && end.as_deref().is_none_or(|end| list.id_of(item) <= end)
        });
        found.sort_by(|one, other| list.id_of(one).cmp(list.id_of(other)));
        Ok((found.into_iter().map(from_item).collect::<Result<_>>()?, end))
    }
}

/// Returns the month in which a page begins, and an id that is newer than all items on the page.
fn begin(start: Option<&PageStart>, now: u64) -> Result<(String, &str)> {
    Ok(match start {
        None => (month(now), AFTER_ALL),
        Some(PageStart::Before(id)) => {
            (month(millis_of(id).ok_or(StoreError::Refused(Error::InvalidCursor))?), id.as_str())
        }
        Some(PageStart::In(month)) => (month.clone(), AFTER_ALL),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ids_or_months() {
        for text in ["01a1f7d1-6dd1-703a-9600-a369c76325b7", "2026-11"] {
            assert_eq!(PageStart::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "~", "2026-13", "2026-11-20", "01A1F7D1-6dd1-703a-9600-a369c76325b7", "x"] {
            assert_eq!(
                PageStart::parse(bad),
                Err(StoreError::Refused(Error::InvalidCursor)),
                "{bad}"
            );
        }
    }

    #[test]
    fn spans_begin_after_their_last_day_once_it_is_over() {
        let day = Day::parse("2026-11-20").unwrap();
        let end = day.after(1).begins();
        let span = Span { first: Some(day), last: Some(day) };
        assert_eq!(span.begin(end), Some(PageStart::Before(least_id(end))));
        assert_eq!(span.begin(end - 1), None);
        assert_eq!(span.least(), least_id(day.begins()));
        assert_eq!((Span::default().begin(end), Span::default().least()), (None, String::new()));
    }
}
