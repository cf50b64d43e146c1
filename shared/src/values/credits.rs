//! Credits, the unit in which messages are paid for. Settings, JSON and the web pages call them
//! tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::values::Invalid;

/// A non-negative amount of credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Credits(u64);

impl Credits {
    /// Zero credits.
    pub const ZERO: Self = Self(0);

    /// The largest amount in a setting or an account. It is far below 2^53, so every JSON client
    /// can represent it exactly.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// Returns `None` if `amount` is above [`Credits::MAX`].
    pub const fn new(amount: u64) -> Option<Self> {
        if amount <= Self::MAX.0 { Some(Self(amount)) } else { None }
    }

    /// Returns an amount of at least 1.
    pub fn positive(amount: u64) -> Result<Self, Invalid> {
        let positive = Self::new(amount).filter(|amount| *amount > Self::ZERO);
        let sentence = || format!("This must be a whole number from 1 to {}.", Self::MAX);
        positive.ok_or_else(|| sentence().into())
    }

    /// Returns the plain number, for DynamoDB and for signed arithmetic.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the amount as a signed number, as used in the ledger.
    pub fn signed(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// Returns `count` times this amount, but at most [`Credits::MAX`].
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count.into()).min(Self::MAX.0))
    }

    /// Returns this amount divided by `parts`, rounded down.
    #[must_use]
    pub fn part_of(self, parts: u32) -> Self {
        Self(self.0 / u64::from(parts.max(1)))
    }

    /// Returns `None` if the sum would be above [`Credits::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::new)
    }

    /// Returns `None` if `other` is larger than this amount.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

/// A change to a balance, other than a charge for a chat. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BalanceChange {
    /// Adds credits.
    Credit(Credits),
    /// Deducts credits.
    Debit(Credits),
}

impl BalanceChange {
    /// Creates a change from a signed amount. Returns `None` if the amount is zero or its absolute
    /// value is above [`Credits::MAX`].
    pub fn new(amount: i64) -> Option<Self> {
        let tokens = Credits::new(amount.unsigned_abs())?;
        match amount {
            0 => None,
            1.. => Some(Self::Credit(tokens)),
            _ => Some(Self::Debit(tokens)),
        }
    }

    /// Returns the signed amount, which is negative for a debit.
    pub fn amount(self) -> i64 {
        match self {
            Self::Credit(tokens) => tokens.signed(),
            Self::Debit(tokens) => -tokens.signed(),
        }
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_stay_between_zero_and_the_maximum() {
        let hundred = Credits::new(100).unwrap();
        assert_eq!(Credits::ZERO.checked_sub(hundred), None);
        assert_eq!(hundred.checked_sub(hundred), Some(Credits::ZERO));
        assert_eq!(Credits::MAX.checked_add(hundred), None);
        assert_eq!(Credits::new(u64::MAX), None);
    }

    #[test]
    fn changes_are_nonzero_and_within_the_maximum() {
        let max = i64::try_from(Credits::MAX.get()).unwrap();
        for bad in [0, max + 1, -max - 1, i64::MAX, i64::MIN] {
            assert_eq!(BalanceChange::new(bad), None, "{bad}");
        }
        for good in [1, -1, max, -max] {
            assert_eq!(BalanceChange::new(good).map(BalanceChange::amount), Some(good));
        }
    }
}
