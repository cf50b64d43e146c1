//! The money of this product: an amount of tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An amount of tokens, never negative. (Access tokens and refresh tokens are always called by their full names.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(u64);

impl Tokens {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest amount that any setting or account may name. Far below 2^53, so that every JSON client reads it exactly.
    pub const MAX: Self = Self(1_000_000_000_000);

    /// `amount` tokens, or nothing where that is more than [`Tokens::MAX`].
    pub const fn new(amount: u64) -> Option<Self> {
        if amount <= Self::MAX.0 { Some(Self(amount)) } else { None }
    }

    /// The plain number, for DynamoDB and arithmetic that mixes signs.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, or nothing where it would be over [`Tokens::MAX`].
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).and_then(Self::new)
    }

    /// What is left, or nothing where `other` is more than there is.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_never_goes_below_zero_or_over_the_maximum() {
        let hundred = Tokens::new(100).unwrap();
        assert_eq!(Tokens::ZERO.checked_sub(hundred), None);
        assert_eq!(hundred.checked_sub(hundred), Some(Tokens::ZERO));
        assert_eq!(Tokens::MAX.checked_add(hundred), None);
        assert_eq!(Tokens::new(u64::MAX), None);
    }
}
