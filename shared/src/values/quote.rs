//! The price of a chat: its bound before the AI is called, and its charge after the answer.

use serde::{Deserialize, Serialize};

use super::{CacheWrites, Fare, Money, Rates, Usage};
use crate::Credits;

/// A chat's price, computed once before its credits are held. The hold then contains the quote.
///
/// ```
/// use shared::{Credits, values::Quote};
///
/// let price = Credits::new(100).unwrap();
/// assert_eq!(Quote::flat(price).bound(), price);
///
/// let long = Quote::by_length(price, 200_000, 65_536);
/// assert_eq!((long.units(), long.bound().get()), (4, 400));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    terms: Terms,
    bound: Credits,
    units: u32,
}

/// The error if a price exceeds the maximum in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostsMore {
    /// The price.
    pub cost: Credits,
    /// The maximum in the request.
    pub most: Credits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Terms {
    /// The charge is the bound.
    Fixed,
    /// The charge is the price of the answer's usage.
    Usage(Rates),
}

impl Quote {
    /// Returns the quote for a chat of any length.
    pub fn flat(price: Credits) -> Self {
        Self { terms: Terms::Fixed, bound: price, units: 1 }
    }

    /// Returns the quote for a prompt of `bytes` bytes. Each `unit` of bytes, even if incomplete,
    /// costs `price`.
    pub fn by_length(price: Credits, bytes: usize, unit: usize) -> Self {
        let units = u32::try_from(bytes.div_ceil(unit.max(1)).max(1)).unwrap_or(u32::MAX);
        Self { terms: Terms::Fixed, bound: price.times(units), units }
    }

    /// Returns the quote for a prompt with at most `prompt` model tokens and an answer with at most
    /// `output`.
    pub fn by_usage(rates: Rates, prompt: u64, output: u64, writes: CacheWrites) -> Self {
        let bound = rates.bound(prompt, output, writes);
        Self { terms: Terms::Usage(rates), bound, units: 1 }
    }

    /// Returns how many times the price of a message is charged.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// Returns the maximum charge, which is held.
    pub fn bound(&self) -> Credits {
        self.bound
    }

    /// Returns the same quote with this bound, which is the amount of the chat's hold.
    #[must_use]
    pub fn bounded(self, bound: Credits) -> Self {
        Self { bound, ..self }
    }

    /// Returns the same quote with a bound of at most `max_cost`.
    ///
    /// # Errors
    /// Fails with the price if it is fixed and exceeds `max_cost`.
    pub fn within(self, max_cost: Option<Credits>) -> Result<Self, CostsMore> {
        match max_cost {
            Some(most) if self.bound > most => match self.terms {
                Terms::Fixed => Err(CostsMore { cost: self.bound, most }),
                Terms::Usage(_) => Ok(self.bounded(most)),
            },
            _ => Ok(self),
        }
    }

    /// Returns true if the charge depends on the answer.
    pub fn depends_on_usage(&self) -> bool {
        matches!(self.terms, Terms::Usage(_))
    }

    /// Returns the price of the answer. If it exceeds the bound, the [charge](Self::charge) is
    /// lower.
    pub fn price(&self, usage: &Usage) -> Credits {
        match self.terms {
            Terms::Fixed => self.bound,
            Terms::Usage(rates) => usage.price(rates),
        }
    }

    /// Returns the charge for the answer, which is never above the [bound](Self::bound).
    pub fn charge(&self, usage: &Usage) -> Credits {
        self.price(usage).min(self.bound)
    }
}

/// How a chat was priced by a price list. The chat and its ledger entry both contain the receipt,
/// so that the charge can be recomputed from either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The version of the price list.
    pub list: String,
    /// The model's name in the list.
    pub model: String,
    /// The model's fare.
    pub fare: Fare,
    /// The credits that were held for the chat.
    pub held: Credits,
    /// True if the maximum length of the answer was reduced to fit the held credits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shortened: bool,
    /// True if all held credits were charged, because the chat was stopped and the model token
    /// counts are unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// The price per million credits, if the list contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub million_tokens: Option<Money>,
}

impl Receipt {
    /// Recomputes the charge from the counts in the chat or in its ledger entry.
    pub fn charge(&self, usage: Option<&Usage>, units: Option<u32>) -> Credits {
        let price = match self.fare {
            _ if self.whole => self.held,
            Fare::Message(price) => price.times(units.unwrap_or(1)),
            Fare::Usage(rates) => usage.map_or(self.held, |usage| usage.price(rates)),
        };
        price.min(self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(amount: u64) -> Credits {
        Credits::new(amount).unwrap()
    }

    #[test]
    fn each_started_unit_costs_the_price() {
        for (bytes, units) in [(0, 1), (1, 1), (100, 1), (101, 2), (200, 2), (201, 3)] {
            let quote = Quote::by_length(credits(7), bytes, 100);
            assert_eq!((quote.units(), quote.bound().get()), (units, u64::from(units) * 7));
            assert_eq!(quote.charge(&Usage::default()), quote.bound());
        }
    }

    #[test]
    fn no_length_overflows_the_price() {
        let quote = Quote::by_length(Credits::MAX, usize::MAX, 1);
        assert_eq!((quote.units(), quote.bound()), (u32::MAX, Credits::MAX));
    }

    #[test]
    fn the_charge_never_exceeds_the_bound() {
        let rates = Rates { input: 1_000_000, cached: 0, write: None, output: 1_000_000 };
        let quote = Quote::by_usage(rates, 10, 10, CacheWrites::Excluded);
        let usage = |prompt_tokens, completion_tokens| Usage {
            prompt_tokens,
            completion_tokens,
            ..Usage::default()
        };
        assert_eq!(quote.bound(), credits(20));
        assert_eq!(quote.charge(&usage(4, 5)), credits(9));
        assert_eq!(quote.charge(&usage(40, 50)), credits(20));
        assert_eq!(quote.price(&usage(40, 50)), credits(90));
        assert_eq!(quote.bounded(credits(3)).charge(&usage(4, 5)), credits(3));
        // A provider may write into its cache without being asked to.
        let dear = Rates { write: Some(3_000_000), ..rates };
        let quote = Quote::by_usage(dear, 10, 10, CacheWrites::Excluded);
        let written = Usage { written_tokens: 10, ..usage(10, 10) };
        assert_eq!((quote.price(&written), quote.charge(&written)), (credits(40), credits(20)));
        let quote = Quote::by_usage(dear, 10, 10, CacheWrites::Possible);
        assert_eq!((quote.bound(), quote.charge(&written)), (credits(40), credits(40)));
    }

    #[test]
    fn receipts_compute_the_charge_again() {
        let rates = Rates { input: 1_000_000, cached: 0, write: None, output: 2_000_000 };
        let receipt = Receipt {
            list: "v".into(),
            model: "deep".into(),
            fare: Fare::Usage(rates),
            held: credits(50),
            shortened: false,
            whole: false,
            million_tokens: None,
        };
        let usage = Usage { prompt_tokens: 10, completion_tokens: 5, ..Usage::default() };
        assert_eq!(receipt.charge(Some(&usage), None), credits(20));
        let dear = Rates { write: Some(3_000_000), ..rates };
        let dear = Receipt { fare: Fare::Usage(dear), ..receipt.clone() };
        let written = Usage { written_tokens: 4, ..usage };
        assert_eq!(dear.charge(Some(&written), None), credits(28));
        assert_eq!(receipt.charge(Some(&written), None), credits(20));
        let whole = Receipt { whole: true, ..receipt.clone() };
        assert_eq!(whole.charge(Some(&usage), None), credits(50));
        let flat = Receipt { fare: Fare::Message(credits(7)), ..receipt };
        assert_eq!(flat.charge(Some(&usage), Some(3)), credits(21));
    }
}
