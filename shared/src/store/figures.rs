//! Figures per day, counted in the ledger. The ledger never changes, so the figures of a closed day
//! are counted once and stored under `figures:<day>` in the table Tokens.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::try_join_all;
use futures_util::stream::{StreamExt, iter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::values;
use super::schema::{FIGURES, figures_key, pk};
use super::{EntryKind, NEW, Store, Write, from_item, s, to_item};
use crate::clock::{Day, FIRST_DAY, least_id};
use crate::{Error, Result};

/// How long after its end a day is closed, in milliseconds: neither a chat nor an index takes so
/// long.
const CLOSED_AFTER: u64 = 15 * 60 * 1000;

/// How many days are counted at a time.
const AT_A_TIME: usize = 4;

/// How many items one `BatchGetItem` takes.
const BATCH: usize = 100;

/// What happened on a day, or on several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Accounts that were registered.
    pub users: u64,
    /// Chats that were paid.
    pub chats: u64,
    /// Tokens that were given, less those that were taken by hand.
    pub granted: i64,
    /// Tokens that were spent on chats.
    pub spent: i64,
}

impl Figures {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            users: self.users.saturating_add(other.users),
            chats: self.chats.saturating_add(other.chats),
            granted: self.granted.saturating_add(other.granted),
            spent: self.spent.saturating_add(other.spent),
        }
    }

    /// The figures of one ledger row.
    fn of(row: &CountedRow) -> Self {
        match row.kind {
            EntryKind::Grant => Self { users: 1, granted: row.amount, ..Self::default() },
            EntryKind::Chat => {
                Self { chats: 1, spent: row.amount.saturating_neg(), ..Self::default() }
            }
            EntryKind::Adjustment => Self { granted: row.amount, ..Self::default() },
            EntryKind::Standing => Self::default(),
        }
    }
}

/// Whether the figures of a day are final; `now` is in milliseconds.
pub fn is_closed(day: Day, now: u64) -> bool {
    day.after(1).begins() + CLOSED_AFTER <= now
}

/// The attributes of a row that are read.
#[derive(Deserialize)]
struct CountedRow {
    kind: EntryKind,
    amount: i64,
}

/// A closed day's item.
#[derive(Serialize, Deserialize)]
struct KeptDay {
    /// `figures:<day>`.
    pk: String,
    users: u64,
    chats: u64,
    granted: i64,
    spent: i64,
}

impl Store {
    /// The figures of `days` days from `first`. Closed days that were never counted are counted and
    /// stored; `now` is in milliseconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if that takes longer than `until`; counted days are stored, so that
    /// the next call continues.
    pub async fn figures(
        &self,
        first: Day,
        days: u64,
        now: u64,
        until: Instant,
    ) -> Result<BTreeMap<Day, Figures>> {
        let all: Vec<Day> = (0..days).map(|later| first.after(later)).collect();
        let can_have_some = |day: &Day| (FIRST_DAY..=Day::of(now)).contains(day);
        let closed: Vec<Day> =
            all.iter().copied().filter(|day| can_have_some(day) && is_closed(*day, now)).collect();
        let mut figures = self.kept_figures(&closed).await?;
        let missing: Vec<Day> = all
            .iter()
            .copied()
            .filter(|day| can_have_some(day) && !figures.contains_key(day))
            .collect();
        let count = |day: Day| async move {
            if Instant::now() >= until {
                return Err(Error::Unavailable("there was no time to count every day".into()));
            }
            let counted = self.count_day(day).await?;
            if is_closed(day, now) {
                self.keep_figures(day, counted).await?;
            }
            Ok((day, counted))
        };
        let counted: Vec<Result<(Day, Figures)>> =
            iter(missing).map(count).buffer_unordered(AT_A_TIME).collect().await;
        for day in counted {
            figures.extend([day?]);
        }
        Ok(all.into_iter().map(|day| (day, figures.remove(&day).unwrap_or_default())).collect())
    }

    /// Counts the ledger rows of a day.
    async fn count_day(&self, day: Day) -> Result<Figures> {
        let (first, last) = (least_id(day.begins()), least_id(day.after(1).begins()));
        let counts = self.places_of(day).into_iter().map(|place| {
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
                .projection_expression("kind, amount");
            async move {
                let (mut figures, mut rows) =
                    (Figures::default(), query.into_paginator().items().send());
                while let Some(row) = rows.try_next().await? {
                    figures = figures.and(Figures::of(&from_item(row)?));
                }
                Ok::<_, Error>(figures)
            }
        });
        Ok(try_join_all(counts).await?.into_iter().fold(Figures::default(), Figures::and))
    }

    async fn kept_figures(&self, days: &[Day]) -> Result<BTreeMap<Day, Figures>> {
        let batches = days.chunks(BATCH).map(|some| {
            let keys = some.iter().map(|day| pk(figures_key(*day))).collect();
            self.items(&self.tables.tokens, keys)
        });
        let mut figures = BTreeMap::new();
        for item in try_join_all(batches).await?.into_iter().flatten() {
            let KeptDay { pk, users, chats, granted, spent } = from_item(item)?;
            let day = pk.strip_prefix(FIGURES).and_then(Day::parse);
            figures.extend(day.map(|day| (day, Figures { users, chats, granted, spent })));
        }
        Ok(figures)
    }

    /// Stores the figures of a closed day. Idempotent.
    async fn keep_figures(&self, day: Day, figures: Figures) -> Result<()> {
        let Figures { users, chats, granted, spent } = figures;
        let kept = KeptDay { pk: figures_key(day), users, chats, granted, spent };
        let put = Write::put(&self.tables.tokens, to_item(kept)?).when(NEW);
        self.send(&put).await.map(drop)
    }
}
