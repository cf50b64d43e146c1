//! The restrictions of an API key: its expiry, its models, and the limit on the credits that may be
//! spent with it.

use serde::{Deserialize, Serialize};

use crate::values::{Credits, Invalid};

/// The restrictions of an API key. They are set when the key is created. Only the number of credits
/// in the limit can change, and the limit can be removed.
///
/// The hash of a restricted key is stored here, so that earlier releases, which don't support
/// restrictions and look for the hash elsewhere, refuse the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restrictions {
    /// The SHA-256 hash of the key's secret.
    pub(crate) hash: String,
    /// The Unix time from which the key is no longer accepted. `None` if it doesn't expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The names of the models that the key may use. `None` if it may use all models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// The credits that may be spent with the key. `None` if the whole balance may be spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<KeyLimit>,
}

impl Restrictions {
    /// Creates the restrictions of a new key.
    pub fn new(expires: Option<u64>, models: Option<Vec<String>>, limit: Option<KeyLimit>) -> Self {
        Self { hash: String::new(), expires, models, limit }
    }

    /// Returns true if the key is unrestricted.
    pub fn is_empty(&self) -> bool {
        self.expires.is_none() && self.models.is_none() && self.limit.is_none()
    }
}

/// The credits that may be spent with an API key in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLimit {
    /// The number of credits.
    pub tokens: Credits,
    /// The period.
    pub per: LimitPeriod,
}

/// The period to which an API key's limit applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitPeriod {
    /// Each month in UTC.
    Month,
    /// The key's whole life.
    Total,
}

impl LimitPeriod {
    /// Returns the period's stored name, which is also shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// Parses a period that the key's owner has chosen.
    pub fn parse(word: &str) -> Result<Self, Invalid> {
        let period = [Self::Month, Self::Total].into_iter().find(|period| period.word() == word);
        period.ok_or_else(|| "A limit's period must be month or total.".into())
    }

    /// Returns true if the purse with this name counts the spending for a limit with this period.
    pub(crate) fn counts_in(self, purse: &str) -> bool {
        (key_and_period(purse).1 == Self::Total.word()) == (self == Self::Total)
    }

    /// Returns the name of the purse for the API key with this id. The purse counts the credits
    /// that are spent with the key, either in a month such as `2026-11` or over the key's entire
    /// lifetime.
    pub(crate) fn purse(self, key_id: &str, month: &str) -> String {
        let period = match self {
            Self::Month => month,
            Self::Total => self.word(),
        };
        format!("{key_id}{OF_PERIOD}{period}")
    }
}

/// The separator between a key's id and the period in the name of a purse.
const OF_PERIOD: char = '#';

/// Splits the name of a purse into the key's id and the period.
pub(crate) fn key_and_period(purse: &str) -> (&str, &str) {
    purse.split_once(OF_PERIOD).unwrap_or((purse, ""))
}

/// Returns the names of the purses whose period ended before `month`, except each key's latest
/// purse.
pub(crate) fn ended_purses<'a>(
    purses: impl Iterator<Item = &'a String> + Clone,
    month: &str,
) -> impl Iterator<Item = &'a String> {
    let has_later = {
        let purses = purses.clone();
        move |purse: &str| {
            let key = key_and_period(purse).0;
            purses.clone().any(|other| key_and_period(other).0 == key && other.as_str() > purse)
        }
    };
    purses.filter(move |purse| {
        let period = key_and_period(purse).1;
        period != LimitPeriod::Total.word() && period < month && has_later(purse)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purses_are_named_after_key_and_period() {
        assert_eq!(LimitPeriod::Month.purse("k", "2026-11"), "k#2026-11");
        assert_eq!(LimitPeriod::Total.purse("k", "2026-11"), "k#total");
        assert_eq!(key_and_period("k#2026-11"), ("k", "2026-11"));
    }

    #[test]
    fn only_earlier_months_of_a_key_end() {
        let purses = ["a#2026-08", "a#2026-09", "a#2026-10", "b#2026-08", "c#total"];
        let purses = purses.map(str::to_owned);
        let ended = |month| ended_purses(purses.iter(), month).cloned().collect::<Vec<_>>();
        assert_eq!(ended("2026-10"), ["a#2026-08", "a#2026-09"]);
        assert_eq!(ended("2027-10"), ["a#2026-08", "a#2026-09"], "the latest purse remains");
        assert!(ended("2026-08").is_empty());
    }

    #[test]
    fn periods_are_written_as_stored() {
        for period in [LimitPeriod::Month, LimitPeriod::Total] {
            assert_eq!(serde_json::to_value(period).unwrap(), period.word());
            assert_eq!(LimitPeriod::parse(period.word()), Ok(period));
        }
        assert!(LimitPeriod::parse("day").is_err());
    }
}
