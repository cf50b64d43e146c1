//! The price of a chat. The price is computed once, before its credits are reserved. From then on
//! the hold stores the price.

use crate::Credits;

/// A chat's price: the most that the chat may cost, which is reserved before the AI is asked, and
/// the charge for its answer.
///
/// ```
/// use shared::{Credits, values::Fare};
///
/// let price = Credits::new(100).unwrap();
/// assert_eq!(Fare::flat(price).bound(), price);
///
/// let long = Fare::by_length(price, 200_000, 65_536);
/// assert_eq!((long.units(), long.charge().get()), (4, 400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fare {
    price: Credits,
    units: u32,
}

impl Fare {
    /// Returns the price for a chat of any length.
    pub fn flat(price: Credits) -> Self {
        Self { price, units: 1 }
    }

    /// Returns the price for a prompt of `bytes`, which pays `price` for each started `unit` of
    /// bytes.
    pub fn by_length(price: Credits, bytes: usize, unit: usize) -> Self {
        let units = bytes.div_ceil(unit.max(1)).max(1);
        Self { price, units: u32::try_from(units).unwrap_or(u32::MAX) }
    }

    /// Returns how many times the price of one chat is charged.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// Returns the most that the chat may cost.
    pub fn bound(&self) -> Credits {
        self.price.times(self.units)
    }

    /// Returns the charge for the answer, which is never above the [bound](Self::bound).
    pub fn charge(&self) -> Credits {
        self.bound()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_started_unit_costs_the_price() {
        let price = Credits::new(7).unwrap();
        for (bytes, units) in [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3)] {
            let fare = Fare::by_length(price, bytes, 100);
            assert_eq!((fare.units(), fare.bound().get()), (units, u64::from(units) * 7));
            assert_eq!(fare.charge(), fare.bound());
        }
    }

    #[test]
    fn no_length_overflows_the_price() {
        let fare = Fare::by_length(Credits::MAX, usize::MAX, 1);
        assert_eq!((fare.units(), fare.bound()), (u32::MAX, Credits::MAX));
    }
}
