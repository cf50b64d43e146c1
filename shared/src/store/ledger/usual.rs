//! How many model tokens messages to each model usually use. The daily census computes these means
//! from the model costs of the last days, and stores them in a single item, so that the endpoint
//! that lists the models can cache them.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::clock::Day;
use crate::store::ledger::costs::{CostFigures, CostLine, Costs};
use crate::store::ledger::figures::is_closed;
use crate::store::schema::{USUAL, pk};
use crate::store::{DataPeriod, Result, Store, Write, s, to_item};

/// The number of closed days whose messages are counted.
const COUNTED_DAYS: u64 = 7;

/// The minimum number of messages in these days. Everybody can read the mean, so it must not tell
/// how long a single user's message was.
const LEAST_MESSAGES: u64 = 20;

/// The usage of each model that answered at least [`LEAST_MESSAGES`] messages in the last closed
/// days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsualUsage {
    models: Vec<ModelUsage>,
}

/// A model's usage in these days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ModelUsage {
    /// The model's name in the price list.
    model: String,
    /// How many messages were paid for.
    chats: u64,
    /// The model tokens of all these messages, as in [`CostFigures`].
    prompt_tokens: u64,
    cached_tokens: u64,
    written_tokens: u64,
    completion_tokens: u64,
}

impl ModelUsage {
    fn add(&mut self, figures: &CostFigures) {
        for (sum, more) in [
            (&mut self.chats, figures.chats),
            (&mut self.prompt_tokens, figures.prompt_tokens),
            (&mut self.cached_tokens, figures.cached_tokens),
            (&mut self.written_tokens, figures.written_tokens),
            (&mut self.completion_tokens, figures.completion_tokens),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

impl UsualUsage {
    /// Returns the usage of each model in all `days`.
    fn of(days: &BTreeMap<Day, Costs>) -> Self {
        let mut sums: BTreeMap<&str, ModelUsage> = BTreeMap::new();
        for CostLine { key, figures } in days.values().flat_map(|costs| &costs.models) {
            sums.entry(&key.of).or_default().add(figures);
        }
        let named =
            |(model, usage): (&str, ModelUsage)| ModelUsage { model: model.into(), ..usage };
        let known = sums.into_iter().filter(|(_, usage)| usage.chats >= LEAST_MESSAGES);
        Self { models: known.map(named).collect() }
    }

    /// Returns the mean number of model tokens in a model's answers. `None` if there were too few
    /// messages.
    pub fn answer(&self, model: &str) -> Option<u64> {
        let usage = self.models.iter().find(|usage| usage.model == model)?;
        Some(usage.completion_tokens.div_ceil(usage.chats.max(1)))
    }
}

impl Store {
    /// Computes and stores what messages usually use, from the closed days before `period.now`.
    /// Computes and stores the costs of days that weren't stored before. Idempotent.
    ///
    /// # Errors
    /// The errors of [`Store::costs`].
    pub async fn note_usual_usage(&self, period: DataPeriod, until: Instant) -> Result<()> {
        let yesterday = Day::from_millis(period.now).before(1);
        let last = if is_closed(yesterday, period.now) { yesterday } else { yesterday.before(1) };
        let days = self.costs(last.before(COUNTED_DAYS - 1), COUNTED_DAYS, period, until).await?;
        let mut item = to_item(UsualUsage::of(&days))?;
        item.insert("pk".to_owned(), s(USUAL));
        self.send(&Write::put(&self.tables.tokens, item)).await.map(drop)
    }

    /// Returns what messages usually use. `None` before the first census.
    pub async fn usual_usage(&self) -> Result<Option<UsualUsage>> {
        self.get(&self.tables.tokens, pk(USUAL)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ledger::costs::CostKey;

    fn line(model: &str, currency: &str, chats: u64, prompt: u64, completion: u64) -> CostLine {
        let figures = CostFigures {
            chats,
            prompt_tokens: prompt,
            completion_tokens: completion,
            ..CostFigures::default()
        };
        CostLine { key: CostKey { of: model.into(), currency: currency.into() }, figures }
    }

    #[test]
    fn the_usual_answer_is_the_mean_of_a_models_answers() {
        let day = |number: u64, models: Vec<CostLine>| {
            (Day::from_number(number), Costs { models, users: Vec::new() })
        };
        let days = BTreeMap::from([
            day(1, vec![line("deep", "USD", 10, 20_000, 0), line("few", "USD", 19, 1000, 500)]),
            day(2, vec![line("deep", "EUR", 20, 0, 3750)]),
            day(3, Vec::new()),
        ]);
        let usual = UsualUsage::of(&days);
        let answer = |model: &str| usual.answer(model);
        assert_eq!([answer("deep"), answer("few"), answer("quick")], [Some(125), None, None]);
    }
}
