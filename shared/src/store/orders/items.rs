//! The stored order, and the item that lists it under its buyer.

use serde::{Deserialize, Serialize};

use crate::Credits;
use crate::clock::Clock;
use crate::store::schema::{ORDER, order_pk};
use crate::values::{Account, Pack, PaymentFacts, Stranded, credits_for};

/// An order for a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// `order:<id>`, where the id is a UUIDv7.
    pub(super) pk: String,
    /// The partition that contains all orders in the `by_user` index. An order isn't in its buyer's
    /// partition, because it isn't erased with the account.
    pub(super) user_id: String,
    /// The id of the buyer's account.
    pub account: String,
    /// The id of the pack.
    pub pack: String,
    /// The name of the pack at the time of the order.
    pub name: String,
    /// How many credits the pack contained at the time of the order.
    pub tokens: Credits,
    /// The price in the currency's smallest unit.
    pub price: u64,
    /// The currency, as three uppercase letters.
    pub currency: String,
    /// When the pack was ordered, in milliseconds since 1970.
    pub time: u64,
    /// The id of the payment page, which is a Stripe Checkout Session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The facts about the payment.
    #[serde(flatten)]
    pub facts: PaymentFacts,
    /// The credits that the buyer has received, minus the credits that were taken back.
    #[serde(rename = "given")]
    pub granted: Credits,
    /// The sum of the money in the order's ledger rows, in the currency's smallest unit.
    pub money: u64,
    /// The credits that must still be taken back.
    pub owed: Credits,
    /// Why the credits can't be moved. `None` if they can be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranded: Option<Stranded>,
    /// The id of the order's last ledger row. `None` if neither credits nor money have moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) row: Option<String>,
    /// How many disputes administrators were notified of.
    #[serde(rename = "told", default, skip_serializing_if = "is_zero")]
    pub(super) disputes_told: u64,
    /// How many times the order was changed since it was created.
    pub version: u64,
}

/// The item that lists an order under its buyer. It is erased with the account.
#[derive(Serialize, Deserialize)]
pub(super) struct BuyerListing {
    pub(super) pk: String,
    pub(super) user_id: String,
    /// The key form of the buyer's username.
    pub(super) name: String,
}

impl Order {
    /// Creates an order for this pack.
    pub fn new(account: &Account, pack: &Pack, clock: &Clock) -> Self {
        Self {
            pk: order_pk(&clock.id().to_string()),
            user_id: ORDER.into(),
            account: account.id.clone(),
            pack: pack.id.clone(),
            name: pack.name.clone(),
            tokens: pack.tokens,
            price: pack.price,
            currency: pack.currency.clone(),
            time: clock.millis(),
            session: None,
            facts: PaymentFacts::default(),
            granted: Credits::ZERO,
            money: 0,
            owed: Credits::ZERO,
            stranded: None,
            row: None,
            disputes_told: 0,
            version: 0,
        }
    }

    /// Returns the order with a different id, for example an id that the payment provider has
    /// stored.
    #[must_use]
    pub fn with_id(mut self, id: &str) -> Self {
        self.pk = order_pk(id);
        self
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        self.pk.strip_prefix(ORDER).unwrap_or_default()
    }

    /// Returns the id of the order's last ledger row. `None` if neither credits nor money have
    /// moved.
    pub(in crate::store) fn last_row(&self) -> Option<&str> {
        self.row.as_deref()
    }

    /// Returns the credits that the buyer should have, according to the facts.
    pub fn target(&self) -> Credits {
        credits_for(self.tokens, self.facts.kept(self.price), self.price)
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
