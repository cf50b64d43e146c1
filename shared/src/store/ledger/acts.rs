//! The trail of administrators' actions. Adjustments are entries in accounts' ledgers; all other
//! actions are stored in separate partitions of the same table.

use crate::Credits;
use crate::clock::{millis_of, month};
use crate::store::schema::{STANDING, standing_of};
use crate::store::timeline::{DataPeriod, PageStart, Span, Timeline};
use crate::store::{Item, MANAGE, Result, Store, Write, from_item, n, s, to_item};
use crate::values::{Act, AdminAct, Entry, Role};

/// An item in the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrailEntry {
    /// An adjustment of a balance.
    Adjustment(Box<Entry>),
    /// An action other than an adjustment.
    Act(AdminAct),
}

impl TrailEntry {
    fn read(mut item: Item) -> Result<Self> {
        let partition = item.get("user_id").and_then(|id| id.as_s().ok());
        let Some(user_id) = partition.and_then(|id| id.strip_prefix(STANDING)) else {
            return from_item(item).map(Box::new).map(Self::Adjustment);
        };
        let user_id = s(user_id);
        item.insert("user_id".into(), user_id);
        from_item(item).map(Self::Act)
    }

    /// Returns the id, a UUIDv7.
    pub fn id(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.entry_id,
            Self::Act(act) => &act.id,
        }
    }

    /// Returns the affected account's id.
    pub fn user_id(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.user_id,
            Self::Act(act) => &act.user_id,
        }
    }

    /// Returns the id of the administrator's account, or `manage` for the command line, with a colon
    /// and the caller if known.
    pub fn actor(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.actor,
            Self::Act(act) => &act.actor,
        }
    }

    /// Returns the name that the trail shows for this entry.
    pub fn word(&self) -> &str {
        match self {
            Self::Adjustment(entry) => entry.kind.word(),
            Self::Act(act) => act.word(),
        }
    }

    /// Returns the signed amount of an adjustment, or the credits that were granted to a new
    /// account.
    pub fn amount(&self) -> Option<i64> {
        match self {
            Self::Adjustment(entry) => Some(entry.amount),
            Self::Act(act) => act.granted.map(Credits::signed),
        }
    }

    /// Returns the role that the account received through this action.
    pub fn role(&self) -> Option<&Role> {
        match self {
            Self::Adjustment(_) => None,
            Self::Act(act) => act.role(),
        }
    }

    /// Returns the reason, for human readers.
    pub fn reason(&self) -> &str {
        match self {
            Self::Adjustment(entry) => &entry.reason,
            Self::Act(act) => &act.reason,
        }
    }

    /// Returns the time in milliseconds since 1970.
    pub fn time(&self) -> u64 {
        match self {
            Self::Adjustment(entry) => entry.time,
            Self::Act(act) => act.time,
        }
    }
}

/// A filter for the list of administrators' actions. The default accepts all actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActFilter {
    /// Accepts only actions with this [word](TrailEntry::word).
    pub act: Option<String>,
    /// Accepts only actions that affect the account with this id.
    pub user_id: Option<String>,
    /// Accepts only actions by this actor, which is the id of an account or `manage` for the
    /// command line.
    pub actor: Option<String>,
    /// Accepts only actions from these days.
    pub span: Span,
}

impl ActFilter {
    fn accepts(&self, entry: &TrailEntry) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == value)
        };
        // `manage` selects the commands of all callers.
        let actor = match entry.actor().split_once(':') {
            Some((MANAGE, _)) => MANAGE,
            _ => entry.actor(),
        };
        is(&self.act, entry.word()) && is(&self.user_id, entry.user_id()) && is(&self.actor, actor)
    }
}

impl Store {
    /// A write that adds an action, with the attributes that all rows in the table have.
    pub(in crate::store) fn put_act(&self, act: &AdminAct) -> Result<Write> {
        let mut row = to_item(act)?;
        row.insert("user_id".into(), s(standing_of(&act.user_id)));
        row.insert("amount".into(), n(0));
        row.insert("trail".into(), s(month(millis_of(&act.id).unwrap_or(act.time))));
        Ok(Write::put(&self.tables.ledger, row)
            .condition("attribute_not_exists(entry_id)")
            .shows_item())
    }

    /// Returns true if the trail contains this action on this user.
    pub(in crate::store) async fn has_act(&self, user_id: &str, id: &str) -> Result<bool> {
        self.has_row(&standing_of(user_id), id).await
    }

    /// Returns true if an administrator has activated the account. Strongly consistent.
    pub(in crate::store) async fn was_activated(&self, user_id: &str) -> Result<bool> {
        let rows = self.rows_of(&standing_of(user_id), None).await?;
        let acts: Vec<AdminAct> = rows.into_iter().map(from_item).collect::<Result<_>>()?;
        Ok(acts.iter().any(|act| act.act == Some(Act::Activation)))
    }

    /// Returns at most `count` administrators' actions, newest first, starting at `start`. Also
    /// returns where the next page begins. `now` is in milliseconds. With a filter, a page may be
    /// short or empty.
    pub async fn trail(
        &self,
        filter: &ActFilter,
        start: Option<&PageStart>,
        now: u64,
        count: usize,
    ) -> Result<(Vec<TrailEntry>, Option<PageStart>)> {
        let list = Timeline { shards: 1, ..self.trail_index() };
        // Imports don't add actions to the trail.
        let period = DataPeriod::without_imports(now);
        if *filter == ActFilter::default() {
            let (found, next) = self.newest(list, start, period, count).await?;
            return Ok((found.into_iter().map(TrailEntry::read).collect::<Result<_>>()?, next));
        }
        let (begin, least) = (filter.span.begin(now), filter.span.least());
        let start = start.or(begin.as_ref());
        let read = |item| {
            TrailEntry::read(item).map(|entry| Some(entry).filter(|entry| filter.accepts(entry)))
        };
        self.newest_of(list, start, period, &least, count, read).await
    }
}
