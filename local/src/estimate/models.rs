//! The cost and income of each model in a price list. The models' shares are unknown, so each model
//! is priced as if it alone answered every chat.

use serde::Serialize;
use shared::Credits;
use shared::ai::turn_bound;
use shared::charge::prompt_overhead;
use shared::values::{CacheWrites, Fare, Model, ModelKind, Money, PriceList, TokenEstimate};

use super::assumptions::{ANSWER, CONVERSATION, PROMPT};
use super::stack::Stack;
use super::{Load, MILLION};

/// The average number of bytes per model token in English text. The pages count each byte of a
/// prompt as a model token, so they overestimate the prompt by this factor.
const BYTES: u64 = 4;

/// The model token counts of an average chat.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AverageChat {
    /// The number of model tokens in the prompt. The provider reads none of them from its cache.
    pub prompt_tokens: u32,
    /// The number of model tokens in the answer, including reasoning.
    pub answer_tokens: u32,
}

/// The cost and income of each model in a price list.
#[derive(Debug, Serialize)]
pub struct ModelsEstimate {
    /// The currency of all amounts in the list. `None` if the list doesn't contain any amounts of
    /// money.
    pub currency: Option<String>,
    /// The average chat.
    pub average_chat: AverageChat,
    /// The models, in the order of the list.
    pub models: Vec<ModelEstimate>,
}

/// The cost and income of a model that answers every chat on its own.
#[derive(Debug, Serialize)]
pub struct ModelEstimate {
    /// The model's name in the list.
    pub model: String,
    /// How many credits an average chat costs.
    pub tokens: Credits,
    /// The highest possible price of an average chat, in credits. The pages show it as "at most".
    pub most: Credits,
    /// The cost and income of a thousand chats.
    pub thousand_chats: Amounts,
    /// The cost and income of the month's chats.
    pub month: Amounts,
    /// The share of the income that exceeds the cost. `None` if either is unknown, or if there is
    /// no income.
    pub margin: Option<f64>,
}

/// Amounts of money, in the list's currency.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Amounts {
    /// What the provider charges. `None` if the list doesn't state the model's cost.
    pub cost: Option<f64>,
    /// What the buyers paid for the charged credits. `None` if the list doesn't state the credits'
    /// price.
    pub income: Option<f64>,
}

impl Load {
    /// Computes the cost and income of each model in the list that answers chats, as if it alone
    /// answered every chat.
    ///
    /// # Errors
    /// Fails with an error message that names the part of the template that can't be read.
    pub fn models(&self, list: &PriceList, chat: AverageChat) -> Result<ModelsEstimate, String> {
        let longest = Stack::load()?.function("chat")?.longest_answer;
        let models = list.of_kind(ModelKind::Chat).map(|(_, model)| {
            let (tokens, most) = chat.charge(list, model, longest);
            let of_chat = Amounts {
                cost: chat.cost(list, model, longest),
                income: list.million_tokens.map(|money| price(money, tokens.get() as f64)),
            };
            ModelEstimate {
                model: model.name.clone(),
                tokens,
                most,
                thousand_chats: of_chat.times(1000.0),
                month: of_chat.times(self.chats()),
                margin: of_chat.margin(),
            }
        });
        let models = models.collect();
        Ok(ModelsEstimate { currency: list.currency.clone(), average_chat: chat, models })
    }
}

impl AverageChat {
    /// Returns the credits that this chat costs, and its highest possible price. `longest` is the
    /// maximum number of model tokens in an answer from a model without its own maximum.
    fn charge(self, list: &PriceList, model: &Model, longest: u32) -> (Credits, Credits) {
        match model.fare {
            Fare::Message(price) => (price, price),
            Fare::Usage(rates) => {
                let system = list.system_prompt(model, None);
                let answer = self.answer(model, longest).into();
                let most = model.most.unwrap_or(longest).into();
                (
                    rates.price(self.prompt(system), 0, 0, answer),
                    rates.bound(self.prompt_bound(system), most, CacheWrites::Possible),
                )
            }
        }
    }

    /// Returns what the provider charges for this chat.
    fn cost(self, list: &PriceList, model: &Model, longest: u32) -> Option<f64> {
        let cost = model.cost?;
        let prompt = price(cost.input, self.prompt(list.system_prompt(model, None)) as f64);
        Some(prompt + price(cost.output, self.answer(model, longest).into()))
    }

    /// Returns the number of model tokens in the prompt, including an estimate for this system
    /// prompt.
    fn prompt(self, system: Option<&str>) -> u64 {
        let system = system.map_or(0, TokenEstimate::of);
        u64::from(self.prompt_tokens) + u64::try_from(system).unwrap_or(u64::MAX)
    }

    /// Returns the number of model tokens in the answer, which is at most the model's maximum.
    fn answer(self, model: &Model, longest: u32) -> u32 {
        self.answer_tokens.min(model.most.unwrap_or(longest))
    }

    /// Returns the maximum number of model tokens in the prompt with this system prompt, as the
    /// pages compute it for a user without instructions.
    fn prompt_bound(self, system: Option<&str>) -> u64 {
        // On average, half of a conversation's other chats precede a chat, and each of them has two
        // turns. The pages count two more turns.
        let turns = CONVERSATION.value - 1.0 + 2.0;
        let of_turns = turns as u64 * turn_bound();
        prompt_overhead(system, None).bound + of_turns + BYTES * u64::from(self.prompt_tokens)
    }
}

impl Default for AverageChat {
    /// Returns the assumed average chat.
    fn default() -> Self {
        Self { prompt_tokens: PROMPT.value as u32, answer_tokens: ANSWER.value as u32 }
    }
}

impl Amounts {
    fn times(self, count: f64) -> Self {
        let times = |amount: Option<f64>| amount.map(|amount| amount * count);
        Self { cost: times(self.cost), income: times(self.income) }
    }

    fn margin(self) -> Option<f64> {
        let (cost, income) = self.cost.zip(self.income)?;
        (income > 0.0).then(|| (income - cost) / income)
    }
}

/// Returns the price of `count` units, in the currency's unit. A million units cost `million`.
fn price(million: Money, count: f64) -> f64 {
    million.micros() as f64 / MILLION * count / MILLION
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load =
        Load { users: 10_000.0, chats_per_day: 10.0, ai_seconds: 4.0, streamed: 0.8 };

    fn list() -> PriceList {
        let json = r#"{"currency": "USD", "million_tokens": "40", "models": [
            {"name": "quick", "via": ["openai"], "fare": {"message": 100}},
            {"name": "deep", "via": ["openai"], "most": 4096,
             "fare": {"input": 50000, "cached": 5000, "output": 400000},
             "cost": {"input": "1.25", "cached": "0.125", "output": "10"}}]}"#;
        json.parse().unwrap()
    }

    fn estimate(list: &PriceList, chat: AverageChat) -> Vec<ModelEstimate> {
        LOAD.models(list, chat).unwrap().models
    }

    fn about(amount: Option<f64>, expected: f64) -> bool {
        amount.is_some_and(|amount| (amount - expected).abs() < 1e-6)
    }

    #[test]
    fn flat_fares_cost_the_fare_whatever_the_tokens() {
        for chat in [
            AverageChat::default(),
            AverageChat { prompt_tokens: u32::MAX, answer_tokens: u32::MAX },
        ] {
            let quick = &estimate(&list(), chat)[0];
            assert_eq!((quick.tokens.get(), quick.most.get()), (100, 100));
            assert!(about(quick.thousand_chats.income, 4.0), "{quick:?}");
            assert!(about(quick.month.income, 12_000.0), "{quick:?}");
            assert_eq!((quick.month.cost, quick.margin), (None, None));
        }
    }

    #[test]
    fn fares_by_usage_cost_the_average_chat() {
        // docs/operate/prices.md shows this message with its price and margin.
        let chat = AverageChat { prompt_tokens: 1000, answer_tokens: 500 };
        let deep = &estimate(&list(), chat)[1];
        assert_eq!(deep.tokens.get(), 250);
        assert!(about(deep.thousand_chats.cost, 6.25), "{deep:?}");
        assert!(about(deep.thousand_chats.income, 10.0), "{deep:?}");
        assert!(about(deep.month.cost, 18_750.0) && about(deep.month.income, 30_000.0), "{deep:?}");
        assert!(about(deep.margin, 0.375), "{deep:?}");
    }

    #[test]
    fn the_highest_price_is_of_the_longest_answer_and_all_bytes() {
        let chat = AverageChat { prompt_tokens: 1000, answer_tokens: 500 };
        let deep = &estimate(&list(), chat)[1];
        let prompt = prompt_overhead(None, None).bound + 6 * 16 + 4000;
        assert_eq!(deep.most.get(), (prompt * 50_000 + 4096 * 400_000).div_ceil(1_000_000));
        let huge = AverageChat { prompt_tokens: u32::MAX, answer_tokens: u32::MAX };
        let deep = &estimate(&list(), huge)[1];
        assert!(deep.tokens <= deep.most, "{deep:?}");
    }

    #[test]
    fn the_highest_price_includes_the_bytes_of_the_system_prompt() {
        let mut list = list();
        let chat = AverageChat::default();
        let before = estimate(&list, chat)[1].most.get();
        list.system = Some("x".repeat(8000));
        let with_prompt = estimate(&list, chat);
        // 8,000 x 0.05
        assert_eq!(with_prompt[1].most.get(), before + 400);
        assert_eq!(with_prompt[0].most.get(), 100, "a flat fare doesn't depend on it");
        list.models[1].system = Some("x".repeat(2000));
        assert_eq!(estimate(&list, chat)[1].most.get(), before + 100);
    }

    #[test]
    fn the_system_prompt_costs_what_its_estimate_costs() {
        let mut list = list();
        let chat = AverageChat::default();
        let text = "You work for a shop that sells bicycles. ".repeat(100);
        let longer = AverageChat {
            prompt_tokens: chat.prompt_tokens + TokenEstimate::of(&text) as u32,
            ..chat
        };
        let expected = estimate(&list, longer).remove(1);
        list.system = Some(text);
        let found = &estimate(&list, chat)[1];
        assert_eq!(found.tokens, expected.tokens);
        assert_eq!(found.thousand_chats.cost, expected.thousand_chats.cost);
    }

    #[test]
    fn answers_are_cut_at_the_maximum_of_the_model() {
        let long = AverageChat { prompt_tokens: 0, answer_tokens: 1_000_000 };
        let mut list = list();
        assert!(about(estimate(&list, long)[1].thousand_chats.cost, 40.96));
        list.models[1].most = None;
        // The default of `AI_MAX_TOKENS` is 1024.
        assert_eq!(estimate(&list, long)[1].tokens.get(), 410);
    }

    #[test]
    fn unknown_prices_have_no_amounts() {
        let mut list = list();
        list.million_tokens = None;
        let deep = &estimate(&list, AverageChat::default())[1];
        assert_eq!((deep.month.income, deep.margin), (None, None));
        assert!(deep.month.cost.is_some());
        list.million_tokens = Money::parse("0");
        let deep = &estimate(&list, AverageChat::default())[1];
        assert_eq!((deep.month.income, deep.margin), (Some(0.0), None));
    }
}
