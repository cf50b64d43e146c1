//! Money that operators pay to providers, or that users pay to operators. Credits aren't money.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum number of decimal places in an amount.
const DECIMALS: usize = 6;

/// The largest amount: a million units of the currency.
const MAX: u64 = 1_000_000 * UNIT;

/// One unit of the currency, such as one dollar.
const UNIT: u64 = 1_000_000;

/// An amount of money, in millionths of the currency's unit. In JSON, the amount is a string such
/// as `"0.25"`, because JSON numbers aren't exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Money(u64);

impl Money {
    /// Parses a decimal number without a sign, from `0` to `1000000`, with at most six decimal
    /// places.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || decimals.len() > DECIMALS {
            return None;
        }
        let decimals: u64 = format!("{decimals:0<DECIMALS$}").parse().ok()?;
        let amount = whole.parse::<u64>().ok()?.checked_mul(UNIT)?.checked_add(decimals)?;
        (amount <= MAX).then_some(Self(amount))
    }

    /// Returns the amount in millionths of the currency's unit.
    pub fn micros(self) -> u64 {
        self.0
    }

    /// If this amount is the price of a million items, returns the price of `count` items in
    /// millionths of the currency's unit, rounded to the nearest millionth.
    pub fn of_millions(self, count: u64) -> u64 {
        let product = u128::from(self.0) * u128::from(count);
        u64::try_from((product + 500_000) / 1_000_000).unwrap_or(u64::MAX)
    }

    /// If this amount is the price of a million items, returns the price of `count` millionths of
    /// an item, as a decimal number.
    pub fn of_millionths(self, count: u64) -> String {
        const PARTS: u128 = 1_000_000_000_000_000_000;
        let parts = u128::from(self.0) * u128::from(count);
        trimmed(&format!("{}.{:018}", parts / PARTS, parts % PARTS), 1)
    }
}

/// Formats an amount that is given in the currency's smallest unit, for example as `2.99 EUR` or
/// `299 JPY`.
pub fn shown(amount: u64, currency: &str) -> String {
    format!("{} {currency}", in_units(amount, currency))
}

/// Formats an amount that is given in the currency's smallest unit without the currency, for example
/// as `2.99` or `299`. The number of decimal places follows the payment provider's rules
/// ([Stripe](https://docs.stripe.com/currencies#zero-decimal)).
pub fn in_units(amount: u64, currency: &str) -> String {
    let decimals = match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "JPY" | "KMF" | "KRW" | "MGA" | "PYG" | "RWF" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => return amount.to_string(),
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let unit = 10_u64.pow(decimals);
    let width = usize::try_from(decimals).unwrap_or_default();
    format!("{}.{:0width$}", amount / unit, amount % unit)
}

/// Formats millionths of the currency's unit as a decimal number with at least two decimal places.
pub fn decimal(micros: u64) -> String {
    trimmed(&format!("{}.{:06}", micros / UNIT, micros % UNIT), 2)
}

/// Removes trailing zeros, but keeps at least this many decimal places.
fn trimmed(text: &str, decimals: usize) -> String {
    let least = text.find('.').map_or(text.len(), |point| point + 1 + decimals);
    let end = text.trim_end_matches('0').len().max(least);
    text.get(..end).unwrap_or(text).to_owned()
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&decimal(self.0))
    }
}

impl From<Money> for String {
    fn from(money: Money) -> Self {
        money.to_string()
    }
}

impl TryFrom<String> for Money {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("an amount of money must be a decimal text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        for (amount, currency, expected) in [
            (299, "EUR", "2.99 EUR"),
            (5, "USD", "0.05 USD"),
            (0, "GBP", "0.00 GBP"),
            (299, "JPY", "299 JPY"),
            (1005, "KWD", "1.005 KWD"),
        ] {
            assert_eq!(shown(amount, currency), expected);
        }
    }

    #[test]
    fn amounts_are_exact_decimals() {
        for (text, micros, shown) in [
            ("0", 0, "0.00"),
            ("1.25", 1_250_000, "1.25"),
            ("0.000001", 1, "0.000001"),
            ("10.00", 10_000_000, "10.00"),
            ("1000000", MAX, "1000000.00"),
            ("0.125", 125_000, "0.125"),
        ] {
            let money = Money::parse(text).unwrap();
            assert_eq!((money.micros(), money.to_string().as_str()), (micros, shown));
        }
        for bad in ["", ".5", "5.", "-1", "+1", "1e3", "1,5", "0.0000001", "1000000.000001", "٣"] {
            assert_eq!(Money::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn prices_of_millions_are_rounded_to_a_millionth() {
        // 0.15 dollars for a million tokens. litellm#38167 charged 15,000 dollars for a few tokens.
        let money = Money::parse("0.15").unwrap();
        assert_eq!((money.of_millions(1_000_000), money.of_millions(1)), (150_000, 0));
        // A million model tokens cost 50,000 credits, and a million credits cost 20 dollars.
        let money = Money::parse("20").unwrap();
        assert_eq!(money.of_millionths(50_000), "0.000001");
        assert_eq!(money.of_millionths(100_000_000), "0.002");
        assert_eq!(Money::default().of_millionths(1), "0.0");
    }
}
