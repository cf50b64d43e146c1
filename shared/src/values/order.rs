//! The limit on orders, and the facts that the payment provider reports about their payments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Credits;
use crate::values::Limit;
use crate::values::limit::HOUR;

/// How many packs an account may order per hour. Each order opens a page on the payment provider's
/// site.
pub(crate) const ORDERS_AN_HOUR: u32 = 20;

impl Limit {
    /// Returns the limit on how many packs an account may order per hour.
    pub(crate) fn orders(reset: u64) -> Self {
        Self::used_up("orders", ORDERS_AN_HOUR, HOUR, reset)
    }
}

/// The known facts about a payment. Events may arrive several times and in any sequence, so their
/// facts are merged. The result doesn't depend on the sequence, and merging the same fact again has
/// no effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentFacts {
    /// The progress of the payment.
    #[serde(default)]
    pub progress: Progress,
    /// When the payment was first reported as paid, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<u64>,
    /// The payment's id, which is a Stripe `PaymentIntent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<String>,
    /// The money that was paid, in the currency's smallest unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// The URL of the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// The refunds, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refunds: BTreeMap<String, Refunded>,
    /// The disputes, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disputes: BTreeMap<String, Dispute>,
}

/// The progress of a payment. When facts are merged, the later variant wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// The buyer hasn't completed the payment page.
    #[default]
    Open,
    /// The buyer has completed the payment page, and the money will arrive later.
    Pending,
    /// The payment page has expired.
    Expired,
    /// The payment failed.
    Failed,
    /// The paid amount differs from the order's price.
    Wrong,
    /// The order's price was paid.
    Paid,
}

/// A refund of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refunded {
    /// The amount in the currency's smallest unit.
    pub amount: u64,
    /// Whether the money is returned to the buyer.
    pub state: RefundState,
}

/// The state of a refund. When facts are merged, the later variant wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefundState {
    /// The money is on its way.
    Made,
    /// The money was returned to the operator, so the buyer wasn't refunded.
    Failed,
}

/// The state of a dispute, in which a buyer's bank demands the money back. When facts are merged,
/// the later variant wins, because a bank can still change its decision to the operator's
/// advantage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dispute {
    /// The bank hasn't decided.
    Open,
    /// The money was returned to the buyer.
    Lost,
    /// The operator keeps the money.
    Won,
}

impl PaymentFacts {
    /// Merges these facts with the `other` facts.
    #[must_use]
    pub fn merged(mut self, other: &Self) -> Self {
        self.progress = self.progress.max(other.progress);
        // If two events differ, the earlier time and the smaller string win, so that the sequence
        // of events doesn't matter.
        self.paid_at = least(self.paid_at, other.paid_at);
        self.payment = least(self.payment, other.payment.clone());
        self.total = self.total.max(other.total);
        self.receipt = least(self.receipt, other.receipt.clone());
        for (id, other) in &other.refunds {
            let refund = self.refunds.entry(id.clone()).or_insert(*other);
            refund.amount = refund.amount.max(other.amount);
            refund.state = refund.state.max(other.state);
        }
        for (id, other) in &other.disputes {
            let dispute = self.disputes.entry(id.clone()).or_insert(*other);
            *dispute = (*dispute).max(*other);
        }
        self
    }

    /// Returns the sum of the refunds, in the currency's smallest unit.
    pub fn refunded(&self) -> u64 {
        let made = self.refunds.values().filter(|refund| refund.state == RefundState::Made);
        made.fold(0, |sum, refund| sum.saturating_add(refund.amount))
    }

    /// Returns true if a dispute was lost.
    pub fn is_lost(&self) -> bool {
        self.disputes.values().any(|dispute| *dispute == Dispute::Lost)
    }

    /// Returns true if the other facts contain the same payment, refunds and disputes.
    pub fn agrees(&self, other: &Self) -> bool {
        let is_paid = |facts: &Self| matches!(facts.progress, Progress::Paid | Progress::Wrong);
        let of_money = |facts: &Self| (is_paid(facts), facts.progress == Progress::Paid);
        of_money(self) == of_money(other)
            && self.refunds == other.refunds
            && self.disputes == other.disputes
    }

    /// Returns true if a dispute is undecided.
    pub fn is_disputed(&self) -> bool {
        self.disputes.values().any(|dispute| *dispute == Dispute::Open)
    }

    /// Returns true if the whole paid amount is returned to the buyer, or if the buyer paid nothing.
    pub fn is_returned(&self) -> bool {
        self.is_lost() || self.total.is_some_and(|total| self.refunded() >= total)
    }

    /// Returns the part of `price` that the operator keeps, in the currency's smallest unit.
    pub fn kept(&self, price: u64) -> u64 {
        match self.progress {
            Progress::Paid if !self.is_lost() => price.saturating_sub(self.refunded()),
            _ => 0,
        }
    }
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Returns the credits that a buyer keeps if the operator keeps `kept` of the price. Rounded down,
/// so that the buyer doesn't keep unpaid credits after a refund.
pub fn credits_for(tokens: Credits, kept: u64, price: u64) -> Credits {
    let share = u128::from(tokens.get()) * u128::from(kept.min(price)) / u128::from(price.max(1));
    u64::try_from(share).ok().and_then(Credits::new).unwrap_or(Credits::ZERO)
}

/// Why an order's credits can't be moved. An administrator has to resolve the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stranded {
    /// The account was deleted.
    AccountDeleted,
    /// The account would have been granted more than [`Credits::MAX`].
    GrantTooLarge,
    /// The paid amount differs from the order's price.
    WrongAmount,
}

impl Stranded {
    /// Returns the name, as it is stored and shown.
    pub fn word(self) -> &'static str {
        match self {
            Self::AccountDeleted => "account_deleted",
            Self::GrantTooLarge => "grant_too_large",
            Self::WrongAmount => "wrong_amount",
        }
    }
}

/// The movement of money that a ledger row records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The order's id.
    pub order: String,
    /// The money that the operator received, in the currency's smallest unit. Negative if the money
    /// was returned to the buyer.
    pub money: i64,
    /// The currency, in three capital letters.
    pub currency: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refund(id: &str, amount: u64, state: RefundState) -> PaymentFacts {
        let refunds = BTreeMap::from([(id.to_owned(), Refunded { amount, state })]);
        PaymentFacts { refunds, ..PaymentFacts::default() }
    }

    fn dispute(state: Dispute) -> PaymentFacts {
        let disputes = BTreeMap::from([("dp_1".to_owned(), state)]);
        PaymentFacts { disputes, ..PaymentFacts::default() }
    }

    fn paid() -> PaymentFacts {
        let progress = Progress::Paid;
        PaymentFacts { progress, paid_at: Some(7), ..PaymentFacts::default() }
    }

    #[test]
    fn merged_facts_depend_on_no_order() {
        let facts = [
            PaymentFacts { progress: Progress::Pending, ..PaymentFacts::default() },
            PaymentFacts { paid_at: Some(9), ..paid() },
            paid(),
            refund("re_1", 100, RefundState::Made),
            refund("re_1", 100, RefundState::Failed),
            refund("re_2", 30, RefundState::Made),
            dispute(Dispute::Open),
            dispute(Dispute::Won),
        ];
        let merge = |all: &[&PaymentFacts]| {
            all.iter().fold(PaymentFacts::default(), |sum, one| sum.merged(one))
        };
        let all: Vec<&PaymentFacts> = facts.iter().collect();
        let expected = merge(&all);
        assert_eq!((expected.refunded(), expected.kept(499), expected.paid_at), (30, 469, Some(7)));
        for first in 0..all.len() {
            for second in 0..all.len() {
                let mut others = all.clone();
                others.swap(0, first);
                others.swap(1, second);
                let twice: Vec<&PaymentFacts> =
                    others.iter().chain(others.iter().rev()).copied().collect();
                assert_eq!(merge(&twice), expected);
            }
        }
    }

    #[test]
    fn credits_follow_the_money() {
        let tokens = |count| Credits::new(count).unwrap();
        for (facts, kept, credits) in [
            (PaymentFacts::default(), 0, 0),
            (paid(), 300, 1000),
            (paid().merged(&refund("re_1", 100, RefundState::Made)), 200, 666),
            (paid().merged(&refund("re_1", 900, RefundState::Made)), 0, 0),
            (paid().merged(&dispute(Dispute::Open)), 300, 1000),
            (paid().merged(&dispute(Dispute::Lost)), 0, 0),
            (paid().merged(&dispute(Dispute::Lost)).merged(&dispute(Dispute::Won)), 300, 1000),
            (PaymentFacts { progress: Progress::Wrong, ..paid() }, 0, 0),
        ] {
            assert_eq!(facts.kept(300), kept, "{facts:?}");
            assert_eq!(credits_for(tokens(1000), kept, 300), tokens(credits));
        }
        assert_eq!(credits_for(Credits::MAX, 1, 1), Credits::MAX);
    }
}
