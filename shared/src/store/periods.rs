//! Allowance periods.

use crate::clock::Day;
use crate::error::NextAllowance;
use crate::values::{Allowance, AllowancePeriod};

impl Allowance {
    /// Returns the first day of the period that contains the Unix time `now`.
    pub(in crate::store) fn period(self, now: u64) -> Day {
        let today = Day::from_millis(now * 1000);
        match self.per {
            AllowancePeriod::Day => today,
            AllowancePeriod::Week => today.monday(),
            AllowancePeriod::Month => today.first_of_month(),
        }
    }

    /// Returns the allowance for the period after the Unix time `now`.
    pub fn next(self, now: u64) -> NextAllowance {
        let period = self.period(now);
        let day = match self.per {
            AllowancePeriod::Day => period.after(1),
            AllowancePeriod::Week => period.after(7),
            AllowancePeriod::Month => period.next_month(),
        };
        NextAllowance { tokens: self.tokens, day }
    }

    /// Returns the reason that is recorded in the ledger.
    pub(in crate::store) fn reason(self, period: Day) -> String {
        match self.per {
            AllowancePeriod::Day => format!("allowance for {period}"),
            AllowancePeriod::Week => format!("allowance for the week of {period}"),
            AllowancePeriod::Month => format!("allowance for {}", period.month()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Allowances;

    /// Noon on this day, in seconds.
    fn noon(day: &str) -> u64 {
        Day::parse(day).unwrap().begins() / 1000 + 43_200
    }

    fn parsed(text: &str) -> Allowances {
        Allowances::parse(text).unwrap()
    }

    #[test]
    fn periods_begin_on_their_first_day() {
        for (allowance, today, first, next) in [
            ("5/day", "2026-11-26", "2026-11-26", "2026-11-27"),
            ("5/week", "2026-11-26", "2026-11-23", "2026-11-30"),
            ("5/week", "2026-11-23", "2026-11-23", "2026-11-30"),
            ("5/week", "2026-11-29", "2026-11-23", "2026-11-30"),
            ("5/month", "2026-12-31", "2026-12-01", "2027-01-01"),
            ("5/month", "2028-02-29", "2028-02-01", "2028-03-01"),
        ] {
            let allowance = parsed(allowance).users.unwrap();
            let now = noon(today);
            let days = [allowance.period(now), allowance.next(now).day].map(|day| day.to_string());
            assert_eq!(days, [first, next], "{allowance:?} {today}");
        }
    }
}
