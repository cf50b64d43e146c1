//! The price of a chat: its hold before the AI is called, and its charge after the answer.

use serde::{Deserialize, Serialize};

use super::{Fare, Money, Rates, Usage};
use crate::Credits;

/// A chat's price before its answer. The hold contains the quote.
///
/// A quote by usage has three numbers. The *hold* is what is held, and thus the maximum charge. The
/// *ceiling* limits what the AI can rightly use; its price may be above the hold. The *charge* is
/// the lower of the hold and the price of what the AI has used.
///
/// ```
/// use shared::{Credits, values::Quote};
///
/// let price = Credits::new(100).unwrap();
/// assert_eq!(Quote::flat(price).hold(), price);
///
/// let long = Quote::by_length(price, 200_000, 65_536);
/// assert_eq!((long.units(), long.hold().get()), (4, 400));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    terms: Terms,
    hold: Credits,
    units: u32,
}

/// The most model tokens that an answered prompt and its answer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The bound of the prompt's model tokens.
    pub prompt: u64,
    /// The maximum length of the answer, as the provider gets it.
    pub answer: u64,
}

/// What a message by usage costs, for people whose message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePrices {
    /// What the prompt usually costs.
    pub prompt: Credits,
    /// The price of the ceiling.
    pub most: Credits,
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
    /// The charge is the hold.
    Fixed,
    /// The charge is the price of the answer's usage.
    Usage(Rates, Ceiling),
}

impl Quote {
    /// Returns the quote for a chat of any length.
    pub fn flat(price: Credits) -> Self {
        Self { terms: Terms::Fixed, hold: price, units: 1 }
    }

    /// Returns the quote for a prompt of `bytes` bytes. Each `unit` of bytes, even if incomplete,
    /// costs `price`.
    pub fn by_length(price: Credits, bytes: usize, unit: usize) -> Self {
        let units = u32::try_from(bytes.div_ceil(unit.max(1)).max(1)).unwrap_or(u32::MAX);
        Self { terms: Terms::Fixed, hold: price.times(units), units }
    }

    /// Returns the quote for an answer that uses at most `ceiling`, for which `hold` is held.
    pub fn by_usage(rates: Rates, hold: Credits, ceiling: Ceiling) -> Self {
        Self { terms: Terms::Usage(rates, ceiling), hold, units: 1 }
    }

    /// Returns how many times the price of a message is charged.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// Returns the maximum charge, which is held.
    pub fn hold(&self) -> Credits {
        self.hold
    }

    /// Returns the same quote, for which `hold` is held.
    #[must_use]
    pub fn holding(self, hold: Credits) -> Self {
        Self { hold, ..self }
    }

    /// Returns the same quote with the ceiling of the prompt and the limit that the AI gets. A fixed
    /// price has no ceiling.
    #[must_use]
    pub fn up_to(self, ceiling: Ceiling) -> Self {
        let terms = match self.terms {
            Terms::Fixed => Terms::Fixed,
            Terms::Usage(rates, _) => Terms::Usage(rates, ceiling),
        };
        Self { terms, ..self }
    }

    /// Returns the same quote with a hold of at most `max_cost`.
    ///
    /// # Errors
    /// Fails with the price if it is fixed and exceeds `max_cost`.
    pub fn within(self, max_cost: Option<Credits>) -> Result<Self, CostsMore> {
        match max_cost {
            Some(most) if self.hold > most => match self.terms {
                Terms::Fixed => Err(CostsMore { cost: self.hold, most }),
                Terms::Usage(..) => Ok(self.holding(most)),
            },
            _ => Ok(self),
        }
    }

    /// Returns true if the charge depends on the answer.
    pub fn depends_on_usage(&self) -> bool {
        matches!(self.terms, Terms::Usage(..))
    }

    /// Returns the price of the usage. If it exceeds the hold, the [charge](Self::charge) is lower.
    pub fn price(&self, usage: &Usage) -> Credits {
        match self.terms {
            Terms::Fixed => self.hold,
            Terms::Usage(rates, _) => usage.price(rates),
        }
    }

    /// Returns the charge for the answer, which is never above the [hold](Self::hold).
    pub fn charge(&self, usage: &Usage) -> Credits {
        self.price(usage).min(self.hold)
    }

    /// Returns the price of the AI's work, of which only what is within the ceiling counts. The
    /// prompt and the answer have a ceiling each, so that a short answer doesn't make room for a
    /// longer prompt.
    pub fn work(&self, usage: &Usage) -> Credits {
        match self.terms {
            Terms::Fixed => self.hold,
            Terms::Usage(rates, ceiling) => rates.price(
                u64::from(usage.prompt_tokens).min(ceiling.prompt),
                usage.cached_tokens.into(),
                usage.written_tokens.into(),
                u64::from(usage.completion_tokens).min(ceiling.answer),
            ),
        }
    }

    /// Returns the part of the work's price that exceeds the hold, which no user pays for. Nothing
    /// if the provider reports more model tokens for the prompt than there can be, because then the
    /// report is wrong.
    pub fn underheld(&self, usage: &Usage) -> Credits {
        let is_wrong = match self.terms {
            Terms::Fixed => false,
            Terms::Usage(_, ceiling) => u64::from(usage.prompt_tokens) > ceiling.prompt,
        };
        match is_wrong {
            true => Credits::ZERO,
            false => self.work(usage).checked_sub(self.hold).unwrap_or_default(),
        }
    }

    /// Returns the part of the price that exceeds both the hold and what is
    /// [underheld](Self::underheld). It is 0 unless the provider reports more model tokens than the
    /// ceiling.
    pub fn uncovered(&self, usage: &Usage) -> Credits {
        let explained = self.hold.checked_add(self.underheld(usage)).unwrap_or(Credits::MAX);
        self.price(usage).checked_sub(explained).unwrap_or_default()
    }

    /// Returns the price of these model tokens of a prompt. 0 if the price is fixed.
    pub fn of_prompt(&self, tokens: u64) -> Credits {
        match self.terms {
            Terms::Fixed => Credits::ZERO,
            Terms::Usage(rates, _) => rates.price(tokens, 0, 0, 0),
        }
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
            assert_eq!((quote.units(), quote.hold().get()), (units, u64::from(units) * 7));
            assert_eq!(quote.charge(&Usage::default()), quote.hold());
        }
    }

    #[test]
    fn no_length_overflows_the_price() {
        let quote = Quote::by_length(Credits::MAX, usize::MAX, 1);
        assert_eq!((quote.units(), quote.hold()), (u32::MAX, Credits::MAX));
    }

    const RATES: Rates = Rates { input: 1_000_000, cached: 0, write: None, output: 1_000_000 };

    fn used(prompt_tokens: u32, completion_tokens: u32) -> Usage {
        Usage { prompt_tokens, completion_tokens, ..Usage::default() }
    }

    #[test]
    fn the_charge_never_exceeds_the_hold() {
        let quote = Quote::by_usage(RATES, credits(20), Ceiling { prompt: 40, answer: 10 });
        assert_eq!(quote.charge(&used(4, 5)), credits(9));
        assert_eq!(quote.charge(&used(40, 50)), credits(20));
        assert_eq!(quote.price(&used(40, 50)), credits(90));
        assert_eq!(quote.holding(credits(3)).charge(&used(4, 5)), credits(3));
    }

    #[test]
    fn what_exceeds_the_hold_counts_up_to_the_ceiling() {
        let ceiling = Ceiling { prompt: 40, answer: 10 };
        let quote = Quote::by_usage(RATES, credits(20), ceiling);
        for (usage, underheld, uncovered) in [
            (used(10, 10), 0, 0),
            (used(11, 10), 1, 0),
            (used(40, 10), 30, 0),
            // An answer that is too long doesn't count as a prompt, and the other way round.
            (used(30, 20), 20, 10),
            (used(10, 50), 0, 40),
            // A prompt can't have this many model tokens.
            (used(41, 10), 0, 31),
            (used(u32::MAX, 0), 0, u64::from(u32::MAX) - 20),
        ] {
            let found = [quote.underheld(&usage), quote.uncovered(&usage)];
            assert_eq!(found, [underheld, uncovered].map(credits), "{usage:?}");
        }
        assert_eq!(quote.work(&used(u32::MAX, u32::MAX)), credits(50));
        // `max_cost` lowers the hold, and not the ceiling.
        let low = quote.within(Some(credits(1))).unwrap();
        assert_eq!((low.hold(), low.underheld(&used(40, 10))), (credits(1), credits(49)));
        let flat = Quote::flat(credits(5));
        assert_eq!((flat.work(&used(9, 9)), flat.underheld(&used(9, 9))), (credits(5), credits(0)));
        assert_eq!(flat.clone().up_to(ceiling), flat);
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
