//! Prints an estimate on a terminal.

use std::fmt;

use super::models::{Amounts, AverageChat, ModelEstimate, ModelsEstimate};
use super::quotas::{Quota, Remedy, ReservationQuota};
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
            ("each further year of stored chats, per month", self.further_year_dollars),
            ("one audit of all accounts", self.audit.dollars),
        ];
        for (what, dollars) in sums {
            writeln!(f, "{what:<85} {:>12}", grouped(dollars, 2))?;
        }
        if let Some(models) = &self.models {
            write!(f, "\n{models}")?;
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
        for quota in &self.quotas {
            if let Some(reserved) = &quota.reservation {
                writeln!(f, "{}", reservation(quota, reserved))?;
            }
        }

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

impl fmt::Display for ModelsEstimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AverageChat { prompt_tokens, answer_tokens } = self.average_chat;
        let currency = self.currency.as_deref();
        let money =
            currency.map(|currency| format!(" Money is in {currency}, without AWS's bill."));
        writeln!(
            f,
            "On average, a prompt has {} model tokens, and an answer {}.{}",
            grouped(prompt_tokens.into(), 0),
            grouped(answer_tokens.into(), 0),
            money.unwrap_or_default()
        )?;
        let names = self.models.iter().map(|model| model.model.len());
        let width = names.max().unwrap_or_default().max("every chat by this model".len());
        writeln!(
            f,
            "{:<width$} {:>8} {:>8} {:>11} {:>13} {:>13} {:>13} {:>7}",
            "every chat by this model",
            "tokens",
            "at most",
            "cost, 1,000",
            "income, 1,000",
            "cost, month",
            "income, month",
            "margin"
        )?;
        for ModelEstimate { model, tokens, most, thousand_chats, month, margin } in &self.models {
            let [tokens, most] = [tokens, most].map(|credits| grouped(credits.get() as f64, 0));
            let [cost, income] = written(*thousand_chats);
            let [cost_month, income_month] = written(*month);
            let margin = margin.map_or("-".into(), |margin| format!("{:.1} %", margin * 100.0));
            writeln!(
                f,
                "{model:<width$} {tokens:>8} {most:>8} {cost:>11} {income:>13} {cost_month:>13} {income_month:>13} {margin:>7}"
            )?;
        }
        Ok(())
    }
}

/// Says which quota of instances a reservation needs.
fn reservation(quota: &Quota, reserved: &ReservationQuota) -> String {
    let mut text = format!(
        "{}: {} functions reserve it, so a quota of {} instances has room for {}.",
        reserved.parameter,
        reserved.functions,
        grouped(reserved.account, 0),
        grouped(reserved.largest, 0)
    );
    if quota.limit.is_some_and(|limit| quota.needs > limit) {
        let [needs, whole] = [reserved.needs, reserved.quota].map(|number| grouped(number, 0));
        text += &format!(" This load needs {needs}, and a quota of {whole}.");
    }
    text
}

/// Formats the cost and the income. Unknown amounts are `-`.
fn written(Amounts { cost, income }: Amounts) -> [String; 2] {
    [cost, income].map(|amount| amount.map_or("-".into(), |amount| grouped(amount, 2)))
}

/// Formats a number with commas as thousands separators.
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

/// Formats a user count, rounded down to two significant digits.
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
