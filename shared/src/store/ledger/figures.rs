//! Daily figures, computed from the ledger. Ledger entries never change, so the figures of a closed
//! day are computed once and stored in the Tokens table under `figures:<day>`.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt, iter};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::{Day, least_id};
use crate::store::ledger::entries::CountedRow;
use crate::store::read::values;
use crate::store::schema::{figures_pk, pk};
use crate::store::{DataPeriod, NEW, Result, Store, StoreError, Write, from_item, s, to_item};
use crate::values::EntryKind;

/// How long a day's figures can still change after the day has ended, in milliseconds. Neither a
/// chat (at most 10 minutes and a lease's last 30 seconds) nor an index update takes this long.
const CLOSED_AFTER: u64 = 15 * 60 * 1000;

/// How many days are computed at a time.
const DAYS_AT_ONCE: usize = 4;

/// How many items one `BatchGetItem` accepts.
const BATCH: usize = 100;

/// The statistics for one or more days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// The number of accounts that were registered.
    pub users: u64,
    /// The number of paid messages.
    pub chats: u64,
    /// The tokens that were granted, minus the tokens that administrators took.
    pub granted: i64,
    /// The tokens that were spent on messages.
    pub spent: i64,
    /// The money that was paid for packs, minus refunds, by currency. Each amount is in the
    /// currency's smallest unit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    pub revenue: BTreeMap<String, i64>,
}

impl Figures {
    /// Adds the `other` figures to these figures.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        for (currency, money) in other.revenue {
            let sum = self.revenue.entry(currency).or_default();
            *sum = sum.saturating_add(money);
        }
        Self {
            users: self.users.saturating_add(other.users),
            chats: self.chats.saturating_add(other.chats),
            granted: self.granted.saturating_add(other.granted),
            spent: self.spent.saturating_add(other.spent),
            revenue: self.revenue,
        }
    }

    /// Returns the figures of one ledger row.
    fn of(row: CountedRow) -> Self {
        if !row.moves_credits() {
            return Self::default();
        }
        if row.charges() {
            return Self { chats: 1, spent: row.amount.saturating_neg(), ..Self::default() };
        }
        let users = u64::from(row.kind == EntryKind::Grant);
        let revenue = row.payment.into_iter().map(|paid| (paid.currency, paid.money)).collect();
        Self { users, granted: row.amount, revenue, ..Self::default() }
    }
}

/// Returns true if the figures of a day are final. `now` is in milliseconds.
pub fn is_closed(day: Day, now: u64) -> bool {
    day.after(1).begins() + CLOSED_AFTER <= now
}

/// Data that is computed for each day, and stored under its own pk once the day is closed.
pub(in crate::store) trait Daily:
    Default + Serialize + DeserializeOwned + Send + Sync
{
    /// Returns the pk of the day's item.
    fn key(day: Day) -> String;

    /// Computes the data from the day's ledger rows.
    fn count(store: &Store, day: Day) -> impl Future<Output = Result<Self>> + Send;
}

impl Daily for Figures {
    fn key(day: Day) -> String {
        figures_pk(day)
    }

    async fn count(store: &Store, day: Day) -> Result<Self> {
        let add = |figures: &mut Self, row: CountedRow| {
            *figures = std::mem::take(figures).plus(Self::of(row));
        };
        let places = store.places_of(day);
        let counted = store.count_rows(day, places, CountedRow::ATTRIBUTES, add).await?;
        Ok(counted.into_iter().fold(Self::default(), Self::plus))
    }
}

impl Store {
    /// Returns the figures for each of `days` days, starting with `first`. Computes and stores the
    /// closed days that weren't stored before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the computation isn't complete at `until`. Completed days are
    /// stored, so the next call continues from there.
    pub async fn figures(
        &self,
        first: Day,
        days: u64,
        period: DataPeriod,
        until: Instant,
    ) -> Result<BTreeMap<Day, Figures>> {
        self.daily(first, days, period, until).await
    }

    /// Like [`Store::figures`], for any kind of daily data.
    pub(in crate::store) async fn daily<D: Daily>(
        &self,
        first: Day,
        days: u64,
        period: DataPeriod,
        until: Instant,
    ) -> Result<BTreeMap<Day, D>> {
        let all: Vec<Day> = (0..days).map(|later| first.after(later)).collect();
        let now = period.now;
        let closed: Vec<Day> =
            all.iter().copied().filter(|day| period.has(*day) && is_closed(*day, now)).collect();
        let mut found: BTreeMap<Day, D> = self.kept_days(&closed, D::key).await?;
        let missing: Vec<Day> = all
            .iter()
            .copied()
            .filter(|day| period.has(*day) && !found.contains_key(day))
            .collect();
        let count = |day: Day| async move {
            if Instant::now() >= until {
                return Err(StoreError::Unavailable(
                    "not every day could be counted in time".into(),
                ));
            }
            let counted = D::count(self, day).await?;
            if is_closed(day, now) {
                self.keep_day(D::key(day), &counted).await?;
            }
            Ok((day, counted))
        };
        let counted: Vec<Result<(Day, D)>> =
            iter(missing).map(count).buffer_unordered(DAYS_AT_ONCE).collect().await;
        for day in counted {
            found.extend([day?]);
        }
        Ok(all.into_iter().map(|day| (day, found.remove(&day).unwrap_or_default())).collect())
    }

    /// Combines a day's rows with `add`, separately for each of the given `trail` index partitions.
    /// Reads only the given `attributes` of each row.
    pub(in crate::store) async fn count_rows<T: Default + Send, R: DeserializeOwned>(
        &self,
        day: Day,
        places: Vec<String>,
        attributes: &str,
        add: impl Fn(&mut T, R) + Sync,
    ) -> Result<Vec<T>> {
        self.count_rows_named(day, places, attributes, &[], add).await
    }

    /// Like [`Store::count_rows`], but accepts placeholders for attribute names that DynamoDB
    /// reserves.
    pub(in crate::store) async fn count_rows_named<T: Default + Send, R: DeserializeOwned>(
        &self,
        day: Day,
        places: Vec<String>,
        attributes: &str,
        names: &[(&str, &str)],
        add: impl Fn(&mut T, R) + Sync,
    ) -> Result<Vec<T>> {
        let named = |(name, of): &(&str, &str)| ((*name).to_owned(), (*of).to_owned());
        let names: Option<HashMap<String, String>> =
            (!names.is_empty()).then(|| names.iter().map(named).collect());
        let (first, last) = (least_id(day.begins()), least_id(day.after(1).begins()));
        let counts = places.into_iter().map(|place| {
            let query = self
                .client
                .query()
                .table_name(&self.tables.ledger)
                .index_name("trail")
                .key_condition_expression("trail = :place AND entry_id BETWEEN :first AND :last")
                .set_expression_attribute_values(values([
                    (":place", s(place)),
                    (":first", s(&first)),
                    (":last", s(&last)),
                ]))
                .projection_expression(attributes)
                .set_expression_attribute_names(names.clone());
            let add = &add;
            async move {
                let (mut sum, mut rows) = (T::default(), query.into_paginator().items().send());
                while let Some(row) = rows.try_next().await? {
                    add(&mut sum, from_item(row)?);
                }
                Ok::<_, StoreError>(sum)
            }
        });
        try_join_all(counts).await
    }

    /// Returns the stored data of these days. `key` returns the pk of a day's item.
    pub(in crate::store) async fn kept_days<D: DeserializeOwned>(
        &self,
        days: &[Day],
        key: fn(Day) -> String,
    ) -> Result<BTreeMap<Day, D>> {
        let by_key: HashMap<String, Day> = days.iter().map(|day| (key(*day), *day)).collect();
        let batches = days.chunks(BATCH).map(|some| {
            let keys = some.iter().map(|day| pk(key(*day))).collect();
            self.items(&self.tables.tokens, keys)
        });
        let mut kept = BTreeMap::new();
        for item in try_join_all(batches).await?.into_iter().flatten() {
            let found = item.get("pk").and_then(|pk| pk.as_s().ok());
            let day = found.and_then(|found| by_key.get(found)).copied();
            if let Some(day) = day {
                kept.insert(day, from_item(item)?);
            }
        }
        Ok(kept)
    }

    /// Stores a closed day's data under this pk, unless data is already stored there. Idempotent.
    pub(in crate::store) async fn keep_day(
        &self,
        key: String,
        counted: &(impl Serialize + Sync),
    ) -> Result<()> {
        let mut item = to_item(counted)?;
        item.insert("pk".to_owned(), s(key));
        let put = Write::put(&self.tables.tokens, item).condition(NEW);
        self.send(&put).await.map(drop)
    }
}
