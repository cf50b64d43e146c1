//! The trail of what administrators did: adjustments, which are rows of accounts' ledgers, and all
//! other acts, which have partitions of their own in the same table.

use crate::Credits;
use crate::clock::{millis_of, month};
use crate::store::schema::{STANDING, standing_of};
use crate::store::timeline::{Place, Span, Timeline};
use crate::store::{Item, Result, Store, Write, from_item, n, s, to_item};
use crate::values::{AdminAct, Entry, Role};

/// An item of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrailEntry {
    /// An adjustment of a balance.
    Adjustment(Entry),
    /// Another act.
    Act(AdminAct),
}

impl TrailEntry {
    fn read(mut item: Item) -> Result<Self> {
        let partition = item.get("user_id").and_then(|id| id.as_s().ok());
        let Some(user_id) = partition.and_then(|id| id.strip_prefix(STANDING)) else {
            return from_item(item).map(Self::Adjustment);
        };
        let user_id = s(user_id);
        item.insert("user_id".into(), user_id);
        from_item(item).map(Self::Act)
    }

    /// Its id, a UUIDv7.
    pub fn id(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.entry_id,
            Self::Act(act) => &act.id,
        }
    }

    /// The affected account's id.
    pub fn user_id(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.user_id,
            Self::Act(act) => &act.user_id,
        }
    }

    /// The id of the administrator's account, or `manage` for the command line.
    pub fn actor(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.actor,
            Self::Act(act) => &act.actor,
        }
    }

    /// The displayed word.
    pub fn word(&self) -> &str {
        match self {
            Self::Adjustment(entry) => entry.kind.word(),
            Self::Act(act) => act.word(),
        }
    }

    /// How many credits an adjustment gave or took, or a new account was granted.
    pub fn amount(&self) -> Option<i64> {
        match self {
            Self::Adjustment(entry) => Some(entry.amount),
            Self::Act(act) => act.granted.map(Credits::signed),
        }
    }

    /// The role that the act has given the account.
    pub fn role(&self) -> Option<&Role> {
        match self {
            Self::Adjustment(_) => None,
            Self::Act(act) => act.role(),
        }
    }

    /// The reason, for people.
    pub fn reason(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.reason,
            Self::Act(act) => &act.reason,
        }
    }

    /// The time in milliseconds since 1970.
    pub fn time(&self) -> u64 {
        match self {
            Self::Adjustment(entry) => entry.time,
            Self::Act(act) => act.time,
        }
    }
}

/// Which acts of administrators a list has. The default has all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// Only those of this [word](TrailEntry::word).
    pub act: Option<String>,
    /// Only those that affect the account with this id.
    pub user_id: Option<String>,
    /// Only those of the account with this id, or of `manage`.
    pub actor: Option<String>,
    /// Only those of these days.
    pub span: Span,
}

impl ActFilter {
    fn accepts(&self, entry: &TrailEntry) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        is(&self.act, entry.word())
            && is(&self.user_id, entry.user_id())
            && is(&self.actor, entry.actor())
    }
}

impl Store {
    /// Writes an act, with the attributes that every row of the table has.
    pub(in crate::store) fn put_act(&self, act: &AdminAct) -> Result<Write> {
        let mut row = to_item(act)?;
        row.insert("user_id".into(), s(standing_of(&act.user_id)));
        row.insert("amount".into(), n(0));
        row.insert("trail".into(), s(month(millis_of(&act.id).unwrap_or(act.time))));
        Ok(Write::put(&self.tables.ledger, row)
            .condition("attribute_not_exists(entry_id)")
            .shows_item())
    }

    /// Whether this act on this user is recorded.
    pub(in crate::store) async fn has_act(&self, user_id: &str, id: &str) -> Result<bool> {
        self.has_row(&standing_of(user_id), id).await
    }

    /// At most `count` acts of administrators, newest first, from `place`; and where the next page
    /// begins. `now` is in milliseconds. With a filter, a page may have few acts or none.
    pub async fn trail(
        &self,
        filter: &ActFilter,
        place: Option<&Place>,
        now: u64,
        count: usize,
    ) -> Result<(Vec<TrailEntry>, Option<Place>)> {
        let list = Timeline { shards: 1, ..self.trail_index() };
        if *filter == ActFilter::default() {
            let (found, next) = self.newest(list, place, now, count).await?;
            return Ok((found.into_iter().map(TrailEntry::read).collect::<Result<_>>()?, next));
        }
        let (begin, least) = (filter.span.begin(now), filter.span.least());
        let place = place.or(begin.as_ref());
        let read = |item| {
            TrailEntry::read(item).map(|entry| Some(entry).filter(|entry| filter.accepts(entry)))
        };
        self.newest_of(list, place, now, &least, count, read).await
    }
}
