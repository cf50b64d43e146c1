//! Model costs and income, by day, model and user. Like the daily figures, they are computed from
//! the ledger and stored for each closed day. They include only chats that were priced by a price
//! list.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Credits;
use crate::clock::Day;
use crate::store::ledger::figures::Daily;
use crate::store::schema::costs_pk;
use crate::store::timeline::DataPeriod;
use crate::store::{PriceVersions, Result, Store, StoredPrices};
use crate::values::{Receipt, Usage};

/// How many users are stored for each day.
const USERS_PER_DAY: usize = 250;

/// The figures for the chats with one model or by one user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostFigures {
    /// How many chats were paid for.
    pub chats: u64,
    /// How many credits were spent on these chats.
    pub spent: u64,
    /// How many model tokens the prompts contained.
    pub prompt_tokens: u64,
    /// How many of the prompts' model tokens the provider read from its cache.
    pub cached_tokens: u64,
    /// How many of the prompts' model tokens the provider wrote into its cache.
    #[serde(default)]
    pub written_tokens: u64,
    /// How many model tokens the answers contained.
    pub completion_tokens: u64,
    /// The provider's price, in millionths of the currency's unit. `None` if the model's cost is
    /// missing from the price list of any of the chats.
    pub cost: Option<u64>,
    /// The price that buyers pay for the spent credits, in millionths of the currency's unit.
    /// `None` if the price of credits is missing from one of the price lists.
    pub income: Option<u64>,
}

impl CostFigures {
    /// Adds the `other` figures. A sum is `None` if either amount of money is `None`.
    fn add(&mut self, other: &Self) {
        let is_first = self.chats == 0;
        let sum = |one: Option<u64>, other: Option<u64>| match is_first {
            true => other,
            false => one.zip(other).map(|(one, other)| one.saturating_add(other)),
        };
        *self = Self {
            chats: self.chats.saturating_add(other.chats),
            spent: self.spent.saturating_add(other.spent),
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            written_tokens: self.written_tokens.saturating_add(other.written_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
            cost: sum(self.cost, other.cost),
            income: sum(self.income, other.income),
        };
    }
}

/// Identifies the chats that the figures cover: the chats with one model or by one user, in one
/// currency.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CostKey {
    /// The model's name in the price list, or the user's id.
    pub of: String,
    /// The currency of the price list. Empty if the list doesn't contain amounts of money.
    pub currency: String,
}

/// A row of the figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CostLine {
    /// The model or the user.
    #[serde(flatten)]
    pub key: CostKey,
    /// The figures of these chats.
    #[serde(flatten)]
    pub figures: CostFigures,
}

/// The figures for one or more days.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    /// The figures for each model, sorted by spent credits, largest amount first.
    pub models: Vec<CostLine>,
    /// The figures for the users who spent the most, largest amount first.
    pub users: Vec<CostLine>,
}

impl Costs {
    /// Returns the sum over several days.
    pub fn sum<'c>(days: impl IntoIterator<Item = &'c Self>) -> Self {
        let (mut models, mut users) = (HashMap::new(), HashMap::new());
        for day in days {
            add_lines(&mut models, &day.models);
            add_lines(&mut users, &day.users);
        }
        Self { models: lines(models), users: lines(users) }
    }
}

fn add_lines(sums: &mut HashMap<CostKey, CostFigures>, of_day: &[CostLine]) {
    for CostLine { key, figures } in of_day {
        sums.entry(key.clone()).or_default().add(figures);
    }
}

/// Sorts the rows by spent credits, largest amount first.
fn lines(sums: HashMap<CostKey, CostFigures>) -> Vec<CostLine> {
    let mut lines: Vec<CostLine> =
        sums.into_iter().map(|(key, figures)| CostLine { key, figures }).collect();
    lines.sort_by(|one, other| {
        (other.figures.spent, &one.key).cmp(&(one.figures.spent, &other.key))
    });
    lines
}

/// The ledger row attributes from which the figures are computed.
#[derive(Deserialize)]
struct PricedRow {
    user_id: String,
    amount: i64,
    #[serde(default)]
    receipt: Option<Receipt>,
    #[serde(default)]
    usage: Option<Usage>,
}

/// Identifies a subtotal: one user's chats with one model under one version of the price list.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    user_id: String,
    list: String,
    model: String,
}

/// Returns the figures, including the cost and the income that follow from a price list.
fn priced(figures: CostFigures, prices: Option<&StoredPrices>, model: &str) -> CostFigures {
    let list = prices.map(|prices| &prices.list);
    let cost = list.and_then(|list| list.model(model)).and_then(|model| model.cost);
    let CostFigures { prompt_tokens, cached_tokens, written_tokens, completion_tokens, .. } =
        figures;
    let cost = cost
        .map(|cost| cost.micros(prompt_tokens, cached_tokens, written_tokens, completion_tokens));
    let million = list.and_then(|list| list.million_tokens);
    let income = million.map(|money| money.of_millions(figures.spent));
    CostFigures { cost, income, ..figures }
}

impl Daily for Costs {
    fn key(day: Day) -> String {
        costs_pk(day)
    }

    async fn count(store: &Store, day: Day) -> Result<Self> {
        let add = |sums: &mut HashMap<Kind, CostFigures>, row: PricedRow| {
            let Some(Receipt { list, model, .. }) = row.receipt else { return };
            let usage = row.usage.unwrap_or_default();
            let spent = u64::try_from(row.amount.saturating_neg()).unwrap_or_default();
            let kind = Kind { user_id: row.user_id, list, model };
            sums.entry(kind).or_default().add(&CostFigures {
                chats: 1,
                spent: spent.min(Credits::MAX.get()),
                prompt_tokens: usage.prompt_tokens.into(),
                cached_tokens: usage.cached_tokens.into(),
                written_tokens: usage.written_tokens.into(),
                completion_tokens: usage.completion_tokens.into(),
                cost: None,
                income: None,
            });
        };
        let places = store.partitions_of(day);
        let attributes = "user_id, amount, receipt, #usage";
        let counted =
            store.count_rows_named(day, places, attributes, &[("#usage", "usage")], add).await?;
        let mut lists = PriceVersions::default();
        let (mut models, mut users) = (HashMap::new(), HashMap::new());
        for (Kind { user_id, list, model }, figures) in counted.into_iter().flatten() {
            let prices = lists.get(store, &list).await?;
            let currency = prices.and_then(|prices| prices.list.currency.clone());
            let currency = currency.unwrap_or_default();
            let figures = priced(figures, prices, &model);
            for (sums, of) in [(&mut models, model), (&mut users, user_id)] {
                let key = CostKey { of, currency: currency.clone() };
                let sum: &mut CostFigures = sums.entry(key).or_default();
                sum.add(&figures);
            }
        }
        let mut users = lines(users);
        users.truncate(USERS_PER_DAY);
        Ok(Self { models: lines(models), users })
    }
}

impl Store {
    /// Returns model costs and income for each of `days` days, starting with `first`. Computes and
    /// stores the closed days that weren't stored before.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`](crate::store::StoreError::Unavailable) if the computation isn't
    /// complete at `until`. Completed days are stored, so the next call continues from there.
    pub async fn costs(
        &self,
        first: Day,
        days: u64,
        period: DataPeriod,
        until: Instant,
    ) -> Result<BTreeMap<Day, Costs>> {
        self.daily(first, days, period, until).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_money_makes_a_sum_unknown() {
        let figures = |cost: Option<u64>| CostFigures { chats: 1, cost, ..Default::default() };
        let mut sum = CostFigures::default();
        sum.add(&figures(Some(2)));
        sum.add(&figures(Some(3)));
        assert_eq!((sum.chats, sum.cost), (2, Some(5)));
        sum.add(&figures(None));
        assert_eq!((sum.chats, sum.cost), (3, None));
    }

    #[test]
    fn days_of_earlier_releases_have_no_written_tokens() {
        let stored = r#"{"chats":1,"spent":5,"prompt_tokens":9,"cached_tokens":2,"completion_tokens":3,"cost":null,"income":null}"#;
        let figures: CostFigures = serde_json::from_str(stored).unwrap();
        assert_eq!((figures.cached_tokens, figures.written_tokens), (2, 0));
    }

    #[test]
    fn days_are_added_by_model_and_currency() {
        let line = |of: &str, currency: &str, spent: u64| CostLine {
            key: CostKey { of: of.into(), currency: currency.into() },
            figures: CostFigures { chats: 1, spent, ..Default::default() },
        };
        let day = |models: Vec<CostLine>| Costs { models, users: Vec::new() };
        let one = day(vec![line("deep", "USD", 5), line("quick", "USD", 1)]);
        let other = day(vec![line("quick", "EUR", 1), line("quick", "USD", 9)]);
        let found = Costs::sum([&one, &other]).models;
        let found: Vec<_> = found
            .iter()
            .map(|line| (line.key.of.as_str(), line.key.currency.as_str(), line.figures.spent))
            .collect();
        assert_eq!(found, [("quick", "USD", 10), ("deep", "USD", 5), ("quick", "EUR", 1)]);
    }
}
