//! What a chat costs. Its price is computed here, once, before its credits are reserved; from then
//! on the hold owns it.

use crate::Credits;

/// The price of a chat: the most that it may cost, which is reserved before the AI is asked, and
/// what its answer costs.
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
    /// The price of one chat, however long it is.
    pub fn flat(price: Credits) -> Self {
        Self { price, units: 1 }
    }

    /// The price of one chat for each started `unit` of the `bytes` of its prompt.
    pub fn by_length(price: Credits, bytes: usize, unit: usize) -> Self {
        let units = bytes.div_ceil(unit.max(1)).max(1);
        Self { price, units: u32::try_from(units).unwrap_or(u32::MAX) }
    }

    /// How many times the price of one chat it is.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// The most that the chat may cost.
    pub fn bound(&self) -> Credits {
        self.price.times(self.units)
    }

    /// What its answer costs. Never more than the [bound](Self::bound).
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
