//! Prints an estimate on a terminal.

use std::fmt;

use super::quotas::Remedy;
use super::{Estimate, Item, Kind};

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = &self.load;
        writeln!(
            f,
            "{} users with {} chats a day. An answer takes {} s. {} % of the chats are streamed.",
            grouped(load.users, 0),
            load.chats_per_day,
            load.ai_seconds,
            grouped(load.streamed * 100.0, 0)
        )?;
        writeln!(f, "us-east-1, arm64; not included: free tiers, discounts, taxes, the AI.\n")?;

        writeln!(f, "{:<52} {:>12}  {:<19} {:>12}", "per month", "quantity", "unit", "dollars")?;
        for Item { item, quantity, unit, dollars } in &self.month {
            let (quantity, dollars) = (grouped(*quantity, 3), grouped(*dollars, 2));
            writeln!(f, "{item:<52} {quantity:>12}  {unit:<19} {dollars:>12}")?;
        }
        let sums = [
            ("total", self.month_dollars),
            ("a thousand chats", self.dollars_per_thousand_chats),
            ("without users", self.at_rest_dollars),
        ];
        for (what, dollars) in sums {
            writeln!(f, "{what:<85} {:>12}", grouped(dollars, 2))?;
        }

        writeln!(
            f,
            "\n{:<50} {:>8} {:>7}  {:<14} {:>13}  raised by",
            "at the peak of a day", "needs", "limit", "", "reached at"
        )?;
        for quota in &self.quotas {
            let limit = quota.limit.map_or("?".into(), |limit| grouped(limit, 0));
            let users = quota.users.map_or("-".into(), |users| format!("{} users", short(users)));
            let moved_by = match quota.moved_by {
                Remedy::Setting => "a setting",
                Remedy::Request => "a request",
                Remedy::Design => "a redesign",
            };
            writeln!(
                f,
                "{:<50} {:>8} {limit:>7}  {:<14} {users:>13}  {moved_by}",
                quota.what,
                grouped(quota.needs, 2),
                quota.unit
            )?;
        }
        writeln!(
            f,
            "\nFirst limit reached: {}, at {} users.",
            self.first_that_breaks.what,
            short(self.first_that_breaks.users)
        )?;
        writeln!(
            f,
            "First limit that only a redesign raises: {}, at {} users.",
            self.first_of_the_design.what,
            short(self.first_of_the_design.users)
        )?;

        writeln!(
            f,
            "\n{:<52} {:>8} {:>8} {:>9} {:>8} {:>6} {:>6}",
            "dollars for a million", "total", "gateway", "functions", "waiting", "store", "logs"
        )?;
        for Kind { request, dollars, gateway, functions, waiting, store, logs } in &self.per_million
        {
            writeln!(
                f,
                "{request:<52} {dollars:>8.2} {gateway:>8.2} {functions:>9.2} {waiting:>8.2} {store:>6.2} {logs:>6.2}"
            )?;
        }
        Ok(())
    }
}

/// Formats a number with commas between its thousands.
fn grouped(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
}

/// Formats a number of users, rounded down to two significant digits.
fn short(users: f64) -> String {
    let unit = 10_f64.powf((users.max(1.0).log10().floor() - 1.0).max(0.0));
    let rounded = (users / unit).floor() * unit;
    match rounded {
        many if many >= 1e9 => "over 1G".into(),
        many if many >= 1e6 => format!("{}M", many / 1e6),
        few => grouped(few, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_separate_thousands() {
        let written =
            [(0.0, 2), (999.5, 1), (1234.5, 2), (1_234_567.0, 0)].map(|(n, d)| grouped(n, d));
        assert_eq!(written, ["0.00", "999.5", "1,234.50", "1,234,567"]);
    }

    #[test]
    fn user_counts_are_rounded_down_to_two_digits() {
        let written = [7.9, 99.0, 1239.0, 576_000.0, 1_290_000.0, 23e9].map(short);
        assert_eq!(written, ["7", "99", "1,200", "570,000", "1.2M", "over 1G"]);
    }
}
