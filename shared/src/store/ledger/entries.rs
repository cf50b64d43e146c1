//! Ledger entries: one immutable row in the Ledger table for every change to a balance.

use serde::Deserialize;

use crate::clock::{Day, millis_of, month};
use crate::store::read::page;
use crate::store::schema::{DAY_SHARDS, STANDING, day_partition, entry_key};
use crate::store::timeline::Timeline;
use crate::store::{Result, Store, Write, s, to_item};
use crate::values::{Entry, EntryKind, Payment, charges};

/// A string that sorts after every entry id.
const AFTER_ALL: &str = "~";

/// The ledger row attributes from which the daily figures are computed.
#[derive(Deserialize)]
pub(in crate::store) struct CountedRow {
    pub(in crate::store) user_id: String,
    entry_id: String,
    pub(in crate::store) kind: EntryKind,
    pub(in crate::store) amount: i64,
    #[serde(default)]
    chat_id: Option<String>,
    #[serde(default)]
    pub(in crate::store) payment: Option<Payment>,
}

impl CountedRow {
    /// The projection expression for these attributes.
    pub(in crate::store) const ATTRIBUTES: &str =
        "user_id, entry_id, kind, amount, chat_id, payment";

    /// Returns true if the row changed a balance. The `trail` index also contains rows for
    /// administrators' actions, which don't move credits.
    pub(in crate::store) fn moves_credits(&self) -> bool {
        moves_credits(&self.user_id)
    }

    /// Like [`Entry::charges`].
    pub(in crate::store) fn charges(&self) -> bool {
        charges(&self.kind, &self.entry_id, self.chat_id.as_deref())
    }
}

/// Returns true if rows with this partition key record changes to a balance. All other rows record
/// administrators' actions.
fn moves_credits(user_id: &str) -> bool {
    !user_id.starts_with(STANDING)
}

/// Returns an entry's partition in the `trail` index. Adjustments by administrators are in a
/// partition for the month, together with other actions. All other entries are in partitions for
/// the day. The month or day is taken from the id, because lists are searched by id.
fn trail_partition(entry: &Entry) -> String {
    let millis = millis_of(&entry.entry_id).unwrap_or(entry.time);
    match entry.kind {
        EntryKind::Adjustment if entry.actor != entry.user_id => month(millis),
        EntryKind::Adjustment | EntryKind::Grant | EntryKind::Chat | EntryKind::Other(_) => {
            day_partition(Day::from_millis(millis), &entry.user_id)
        }
    }
}

impl Store {
    /// A write that adds an entry, with its partition in the `trail` index.
    pub(in crate::store) fn put_entry(&self, entry: &Entry) -> Result<Write> {
        let mut row = to_item(entry)?;
        row.insert("trail".into(), s(trail_partition(entry)));
        Ok(Write::put(&self.tables.ledger, row)
            .condition("attribute_not_exists(entry_id)")
            .shows_item())
    }

    /// Returns true if the table contains this row. Strongly consistent.
    pub(in crate::store) async fn has_row(&self, user_id: &str, entry_id: &str) -> Result<bool> {
        let get = self
            .client
            .get_item()
            .table_name(&self.tables.ledger)
            .set_key(Some(entry_key(user_id, entry_id)));
        Ok(get.projection_expression("entry_id").consistent_read(true).send().await?.item.is_some())
    }

    /// Returns one of the user's entries.
    pub async fn entry(&self, user_id: &str, entry_id: &str) -> Result<Option<Entry>> {
        self.get(&self.tables.ledger, entry_key(user_id, entry_id)).await
    }

    /// Returns a page of a day's entries, oldest first, starting after the id `after`. Also returns
    /// the page's last id, if there may be more entries.
    pub async fn entries_of_day(
        &self,
        day: Day,
        after: Option<&str>,
    ) -> Result<(Vec<Entry>, Option<String>)> {
        let (entries, next): (Vec<Entry>, _) =
            self.of_day(self.trail_index(), &self.places_of(day), day, after).await?;
        let moved = |entry: &Entry| moves_credits(&entry.user_id);
        Ok((entries.into_iter().filter(moved).collect(), next))
    }

    /// Returns all partitions of the `trail` index that can contain rows from this day.
    pub(in crate::store) fn places_of(&self, day: Day) -> Vec<String> {
        let mut places = self.partitions_of(day);
        places.push(day.month());
        places
    }

    /// Returns the partitions of the `trail` index for this day. Administrators' adjustments and
    /// other actions are in the partition for the month instead.
    pub(in crate::store) fn partitions_of(&self, day: Day) -> Vec<String> {
        self.trail_index().partitions(&day.to_string())
    }

    pub(in crate::store) fn trail_index(&self) -> Timeline<'_> {
        Timeline {
            table: &self.tables.ledger,
            index: "trail",
            partition: "trail",
            id: "entry_id",
            shards: DAY_SHARDS,
        }
    }

    /// Returns the user's entries that are older than the entry `before`, newest first (at most
    /// `count`). Also returns whether there may be more. The page may be shorter than `count`,
    /// because DynamoDB also stops at 1 MB.
    pub async fn entries(
        &self,
        user_id: &str,
        before: Option<&str>,
        count: usize,
    ) -> Result<(Vec<Entry>, bool)> {
        let (keys, before) =
            ("user_id = :user AND entry_id < :before", before.unwrap_or(AFTER_ALL));
        page(self.newest_first(&self.tables.ledger, keys, user_id, before, count)).await
    }
}
