//! Fares: the prices that an operator sets for a model's answers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Credits;

/// The number of model tokens that a rate refers to.
const PER: u128 = 1_000_000;

/// A model's fare: either a price for each message, or rates for the model tokens that a message
/// and its answer use.
///
/// ```
/// use shared::{Credits, values::{Fare, Rates}};
///
/// let flat: Fare = serde_json::from_str(r#"{"message":100}"#).unwrap();
/// assert_eq!(flat, Fare::Message(Credits::new(100).unwrap()));
/// let usage = Fare::Usage(Rates { input: 50_000, cached: 5_000, write: None, output: 400_000 });
/// assert_eq!(serde_json::to_string(&usage).unwrap(), r#"{"input":50000,"cached":5000,"output":400000}"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredFare", into = "StoredFare")]
pub enum Fare {
    /// The price of a message.
    Message(Credits),
    /// The rates for a model's tokens.
    Usage(Rates),
}

/// The rates for a model's tokens, in credits per million model tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// The rate for tokens in the prompt.
    pub input: u64,
    /// The rate for tokens in the prompt that the provider read from its cache.
    pub cached: u64,
    /// The rate for tokens in the prompt that the provider wrote into its cache. `None` if they
    /// cost the same as [`Rates::input`].
    pub write: Option<u64>,
    /// The rate for tokens in the answer.
    pub output: u64,
}

impl Rates {
    /// Returns the price of the given model token counts. Only the total is rounded up. `prompt`
    /// includes the cached tokens. The price is at most [`Credits::MAX`].
    pub fn price(&self, prompt: u64, cached: u64, output: u64) -> Credits {
        let cached = cached.min(prompt);
        let each = |tokens: u64, rate: u64| u128::from(tokens) * u128::from(rate);
        let millionths = each(prompt - cached, self.input)
            .saturating_add(each(cached, self.cached))
            .saturating_add(each(output, self.output));
        let price = millionths.div_ceil(PER);
        u64::try_from(price).ok().and_then(Credits::new).unwrap_or(Credits::MAX)
    }

    /// Returns the highest possible price of a prompt with at most `prompt` model tokens and an
    /// answer with at most `output`. It covers any number of cached tokens.
    pub fn bound(&self, prompt: u64, output: u64) -> Credits {
        self.dearest().price(prompt, 0, output)
    }

    /// Returns the length, in model tokens, of the longest answer that `credits` cover in addition
    /// to a prompt of `prompt` model tokens. `None` if the credits don't cover the prompt.
    pub fn affords(&self, credits: Credits, prompt: u64) -> Option<u64> {
        let millionths = u128::from(credits.get()) * PER;
        let of_prompt = u128::from(prompt) * u128::from(self.dearest().input);
        let left = millionths.checked_sub(of_prompt)?;
        let tokens = left.checked_div(u128::from(self.output)).unwrap_or(u128::MAX);
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }

    /// Returns the same rates, except that the higher of the two prompt rates applies to all tokens
    /// in the prompt.
    fn dearest(self) -> Self {
        let input = self.input.max(self.cached);
        Self { input, cached: input, ..self }
    }
}

/// The fare of a model: either `message`, or `input`, `cached` and `output`.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Fare, examples(json!({ "input": 50_000, "cached": 5000, "output": 400_000 })))]
pub struct StoredFare {
    /// The price of a message, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    message: Option<Credits>,
    /// The price, in tokens, of a million model tokens in the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    input: Option<u64>,
    /// The price, in tokens, of a million model tokens in the prompt that the provider read from
    /// its cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    cached: Option<u64>,
    /// The price, in tokens, of a million model tokens in the prompt that the provider wrote into
    /// its cache. Missing if they cost the same as the other tokens in the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    write: Option<u64>,
    /// The price, in tokens, of a million model tokens in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    output: Option<u64>,
}

impl TryFrom<StoredFare> for Fare {
    type Error = &'static str;

    fn try_from(stored: StoredFare) -> Result<Self, Self::Error> {
        match stored {
            StoredFare {
                message: Some(price),
                input: None,
                cached: None,
                write: None,
                output: None,
            } => Ok(Self::Message(price)),
            StoredFare {
                message: None,
                input: Some(input),
                cached: Some(cached),
                write,
                output: Some(output),
            } => Ok(Self::Usage(Rates { input, cached, write, output })),
            _ => Err("a fare has either `message`, or `input`, `cached` and `output`"),
        }
    }
}

impl From<Fare> for StoredFare {
    fn from(fare: Fare) -> Self {
        let none = Self { message: None, input: None, cached: None, write: None, output: None };
        match fare {
            Fare::Message(price) => Self { message: Some(price), ..none },
            Fare::Usage(Rates { input, cached, write, output }) => Self {
                input: Some(input),
                cached: Some(cached),
                write,
                output: Some(output),
                ..none
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: Rates = Rates { input: 50_000, cached: 5_000, write: None, output: 400_000 };

    fn credits(amount: u64) -> Credits {
        Credits::new(amount).unwrap()
    }

    #[test]
    fn prices_are_rounded_up_once() {
        for (prompt, cached, output, price) in [
            (0, 0, 0, 0),
            (1, 0, 0, 1),
            (1000, 0, 500, 250),
            (1000, 1000, 500, 205),
            (1001, 0, 500, 251),
            // If the three parts were rounded up separately, they would add up to 3.
            (2, 1, 1, 1),
        ] {
            assert_eq!(RATES.price(prompt, cached, output), credits(price), "{prompt} {cached}");
        }
    }

    #[test]
    fn more_cached_tokens_than_prompt_count_as_the_prompt() {
        assert_eq!(RATES.price(1000, u64::MAX, 0), RATES.price(1000, 1000, 0));
    }

    #[test]
    fn no_numbers_overflow_a_price() {
        let most = Rates { input: u64::MAX, cached: u64::MAX, write: None, output: u64::MAX };
        assert_eq!(most.price(u64::MAX, 1, u64::MAX), Credits::MAX);
        assert_eq!(most.affords(Credits::MAX, u64::MAX), None);
    }

    #[test]
    fn a_bound_covers_every_number_of_cached_tokens() {
        let dear_cache = Rates { cached: 70_000, ..RATES };
        for rates in [RATES, dear_cache] {
            for cached in [0, 1, 500, 1000] {
                assert!(rates.price(1000, cached, 7) <= rates.bound(1000, 7), "{cached}");
            }
        }
    }

    #[test]
    fn an_answer_that_is_afforded_costs_at_most_the_credits() {
        for amount in [50, 51, 100, 999, 123_456] {
            let tokens = RATES.affords(credits(amount), 1000).unwrap();
            assert!(RATES.bound(1000, tokens) <= credits(amount));
            assert!(RATES.bound(1000, tokens + 1) > credits(amount));
        }
        assert_eq!(RATES.affords(credits(49), 1000), None);
        let free = Rates { output: 0, ..RATES };
        assert_eq!(free.affords(credits(50), 1000), Some(u64::MAX));
    }

    #[test]
    fn a_fare_is_of_one_kind() {
        for bad in [
            "{}",
            r#"{"message":1,"input":1}"#,
            r#"{"input":1,"output":1}"#,
            r#"{"message":-1}"#,
            r#"{"input":1.5,"cached":1,"output":1}"#,
        ] {
            assert!(serde_json::from_str::<Fare>(bad).is_err(), "{bad}");
        }
    }
}
