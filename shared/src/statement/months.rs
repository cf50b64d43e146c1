//! A statement's totals per month in UTC, newest first. A request reads a limited number of rows.
//! If these rows end within a month, the cursor contains the month's totals so far, and the next
//! request completes them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{COMPUTED, Rows, StatementOwner, place};
use crate::clock::{millis_of, month};
use crate::http::{Paging, ProvenPage, Reply};
use crate::values::{AccessToken, Account, Entry};
use crate::{App, Error, Result};

/// The totals of a month.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = MonthOfStatement)]
pub struct MonthTotals {
    /// The month in UTC.
    #[schema(pattern = "^[0-9]{4}-[0-9]{2}$", examples("2026-11"))]
    month: String,
    /// The number of paid messages.
    #[schema(examples(12))]
    chats: u64,
    /// The tokens that the month's messages cost.
    #[schema(examples(1200))]
    spent: i64,
    /// All tokens granted in the month, including adjustments. Negative if adjustments took more
    /// tokens than were granted.
    #[schema(examples(500))]
    granted: i64,
    /// The balance after the last change of the month.
    #[schema(examples(3900))]
    balance: i64,
}

/// A page of a statement by month.
pub struct Months {
    /// The account. It was read together with the months.
    pub account: Account,
    months: Vec<MonthTotals>,
    /// The position of the next page, or `None` if this is the last page.
    next: Option<String>,
}

impl MonthTotals {
    /// Creates a month without rows, given the balance at its end.
    fn ending_with(balance: i64, month: String) -> Self {
        Self { month, chats: 0, spent: 0, granted: 0, balance }
    }

    fn add(&mut self, entry: &Entry) {
        if entry.charges() {
            self.chats += 1;
            self.spent = self.spent.saturating_sub(entry.amount);
        } else {
            self.granted = self.granted.saturating_add(entry.amount);
        }
    }

    /// Writes the totals into a cursor.
    fn text(&self) -> String {
        let Self { month, chats, spent, granted, balance } = self;
        format!("{month} {chats} {spent} {granted} {balance}")
    }

    /// Parses the string that [`MonthTotals::text`] writes. Returns `None` for an empty string.
    fn parse(text: &str) -> Result<Option<Self>> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let &[month, chats, spent, granted, balance] = words.as_slice() else {
            return if words.is_empty() { Ok(None) } else { Err(Error::InvalidCursor) };
        };
        let number = |text: &str| text.parse::<i64>().map_err(|_| Error::InvalidCursor);
        Ok(Some(Self {
            month: month.to_owned(),
            chats: chats.parse().map_err(|_| Error::InvalidCursor)?,
            spent: number(spent)?,
            granted: number(granted)?,
            balance: number(balance)?,
        }))
    }
}

impl Months {
    /// Reads the page of months that `paging` describes. The cursor may still be forged. The page
    /// may be short or empty even if another page follows.
    ///
    /// # Errors
    /// Returns an error if the account can't be read, [`Error::InvalidCursor`], or
    /// [`Error::Unavailable`] if the account kept changing while it was read.
    pub async fn read(app: &App, caller: &AccessToken, paging: &Paging<'_>) -> Result<Self> {
        let place = paging.position().map(place).transpose()?;
        let after = place.map(|(before, balance, _)| (before, balance));
        let open = place.map(|(_, _, open)| MonthTotals::parse(open)).transpose()?.flatten();
        let Rows { account, balance, entries, more } =
            Rows::read(app, StatementOwner::Caller(caller), after, COMPUTED).await?;
        let last = after.map(|(before, _)| before.to_owned());
        let (months, next) = totals(open, &entries, more, paging.limit(), (last, balance));
        Ok(Self { account, months, next })
    }

    /// Returns the page.
    ///
    /// # Errors
    /// Returns [`Error::Internal`].
    pub fn reply(&self, page: &ProvenPage<'_>) -> Reply {
        page.reply(&self.months, self.next.as_deref())
    }
}

/// Computes the totals of at most `limit` months from these rows, and the position of the next
/// page. If an earlier request has begun the first month, `open` contains its totals so far.
/// `place` contains the id of the row before these rows, and the balance after the first row.
fn totals(
    mut open: Option<MonthTotals>,
    entries: &[Entry],
    more: bool,
    limit: usize,
    place: (Option<String>, i64),
) -> (Vec<MonthTotals>, Option<String>) {
    let (mut last, mut balance) = place;
    let mut months = Vec::new();
    for entry in entries {
        let month = month(millis_of(&entry.entry_id).unwrap_or(entry.time));
        if open.as_ref().is_some_and(|open| open.month != month) {
            months.extend(open.take());
            if months.len() == limit {
                return (months, last.map(|last| format!("{last} {balance}")));
            }
        }
        open.get_or_insert_with(|| MonthTotals::ending_with(balance, month)).add(entry);
        balance = balance.saturating_sub(entry.amount);
        last = Some(entry.entry_id.clone());
    }
    if !more {
        months.extend(open);
        return (months, None);
    }
    let open = open.map(|open| open.text()).unwrap_or_default();
    (months, last.map(|last| format!("{last} {balance} {open}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Day, least_id};
    use crate::values::EntryKind;

    /// Builds a row on this day.
    fn row(day: &str, kind: EntryKind, amount: i64) -> Entry {
        let time = Day::parse(day).unwrap().begins();
        Entry::new("u", least_id(time), amount, kind, "a test", "manage", time)
    }

    fn rows() -> Vec<Entry> {
        vec![
            row("2027-01-05", EntryKind::Chat, -100),
            row("2026-11-30", EntryKind::Chat, -100),
            row("2026-11-21", EntryKind::Adjustment, -50),
            row("2026-11-20", EntryKind::Chat, -100),
            row("2026-11-01", EntryKind::Grant, 4000),
        ]
    }

    fn of_month(month: &str, chats: u64, spent: i64, granted: i64, balance: i64) -> MonthTotals {
        MonthTotals { month: month.into(), chats, spent, granted, balance }
    }

    #[test]
    fn months_have_totals_and_an_end_balance() {
        let (months, next) = totals(None, &rows(), false, 20, (None, 3650));
        let expected =
            vec![of_month("2027-01", 1, 100, 0, 3650), of_month("2026-11", 2, 200, 3950, 3750)];
        assert_eq!((months, next), (expected, None));
        assert_eq!(totals(None, &[], false, 20, (None, 0)), (vec![], None));
    }

    #[test]
    fn months_read_in_parts_have_equal_totals() {
        let rows = rows();
        let (whole, _) = totals(None, &rows, false, 20, (None, 3650));
        for limit in [1, 2, 20] {
            for step in 1..=rows.len() {
                let (mut seen, mut at) = (Vec::new(), String::new());
                loop {
                    let (before, balance, open) =
                        if at.is_empty() { ("~", 3650, "") } else { place(&at).unwrap() };
                    let open = MonthTotals::parse(open).unwrap();
                    let left = rows.iter().filter(|row| *row.entry_id < *before);
                    let left: Vec<Entry> = left.cloned().collect();
                    let read = &left[..step.min(left.len())];
                    let from = (Some(before.to_owned()), balance);
                    let (months, next) = totals(open, read, left.len() > step, limit, from);
                    assert!(months.len() <= limit, "{months:?}");
                    seen.extend(months);
                    match next {
                        Some(next) => at = next,
                        None => break,
                    }
                }
                assert_eq!(seen, whole, "{limit} at a time, {step} rows each");
            }
        }
    }
}
