//! Merges a payment's facts into its order. Refunds and disputes refer only to the payment, so
//! their facts are kept until the payment's order is known.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use serde::Deserialize;

use crate::Credits;
use crate::clock::Clock;
use crate::store::orders::Order;
use crate::store::orders::steps::CONTENDED;
use crate::store::schema::{payment_pk, pk};
use crate::store::{
    Backoff, NEW, Outcome, Result, Store, StoreError, Write, from_item, n, s, to_item,
};
use crate::values::PaymentFacts;

/// How long facts about a payment without a known order are kept, in seconds. Most such payments
/// belong to a different product that uses the same account at the payment provider.
const UNCLAIMED: u64 = 90 * 86_400;

/// The stored item for a payment. It contains the order's id, or the payment's facts until the
/// order is known.
#[derive(Default, Deserialize)]
struct StoredPayment {
    order: Option<String>,
    #[serde(default)]
    facts: PaymentFacts,
    version: u64,
}

impl Store {
    /// Merges facts into a freshly read order, and moves its credits. Idempotent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the outcome remains unknown. The facts can be merged again.
    pub async fn merge_facts(
        &self,
        order: Order,
        facts: &PaymentFacts,
        clock: &Clock,
    ) -> Result<Order> {
        let mut facts = facts.clone();
        if let Some(payment) = facts.payment.clone() {
            let waiting = self.claim_payment(&payment, order.id()).await?;
            facts = facts.merged(&waiting);
        }
        self.merge_into_order(order, &facts, clock).await
    }

    /// Merges facts into a payment's order, and returns the order. If the order isn't known yet,
    /// keeps the facts for it and returns `None`. Idempotent.
    ///
    /// # Errors
    /// The errors of [`Store::merge_facts`].
    pub async fn merge_facts_of_payment(
        &self,
        payment: &str,
        facts: &PaymentFacts,
        clock: &Clock,
    ) -> Result<Option<Order>> {
        let key = payment_pk(payment);
        let mut backoff = Backoff::new();
        loop {
            let stored: Option<StoredPayment> = self.get(&self.tables.tokens, pk(&key)).await?;
            let seen = stored.as_ref().map(|stored| stored.version);
            let stored = stored.unwrap_or_default();
            if let Some(order) = &stored.order {
                let lost = || StoreError::Internal(format!("the order of {payment} is missing"));
                let order = self.order(order).await?.ok_or_else(lost)?;
                return self.merge_into_order(order, facts, clock).await.map(Some);
            }
            let facts = to_item(stored.facts.merged(facts))?;
            let keep = Write::update(
                &self.tables.tokens,
                pk(&key),
                "SET facts = :facts, version = :next, expires_at = :ends",
            )
            .values([
                (":facts", AttributeValue::M(facts)),
                (":next", n(seen.unwrap_or_default() + 1)),
                (":ends", n(clock.seconds() + UNCLAIMED)),
            ]);
            let keep = match seen {
                None => keep.condition(NEW),
                Some(seen) => keep
                    .condition("version = :seen AND attribute_not_exists(#order)")
                    .names([("#order", "order")])
                    .values([(":seen", n(seen))]),
            };
            if self.send(&keep).await?.is_applied() {
                return Ok(None);
            }
            backoff.try_again(CONTENDED).await?;
        }
    }

    /// Returns a payment's order. `None` if the order isn't known.
    pub async fn order_of_payment(&self, payment: &str) -> Result<Option<Order>> {
        let stored: Option<StoredPayment> =
            self.get(&self.tables.tokens, pk(payment_pk(payment))).await?;
        match stored.and_then(|stored| stored.order) {
            Some(order) => self.order(&order).await,
            None => Ok(None),
        }
    }

    /// Records that a payment belongs to an order, unless the payment already belongs to another
    /// order. Returns the facts that were kept for the payment.
    async fn claim_payment(&self, payment: &str, order: &str) -> Result<PaymentFacts> {
        let claim = Write::update(
            &self.tables.tokens,
            pk(payment_pk(payment)),
            "SET #order = :order, version = if_not_exists(version, :none) + :one REMOVE expires_at",
        )
        .condition("attribute_not_exists(#order) OR #order = :order")
        .names([("#order", "order")])
        .values([(":order", s(order)), (":none", n(0)), (":one", n(1))])
        .returns(ReturnValue::AllNew);
        match self.send(&claim).await? {
            Outcome::Applied(item) => Ok(from_item::<StoredPayment>(item)?.facts),
            Outcome::Refused(_) => {
                tracing::warn!(payment, order, "the payment belongs to another order");
                Ok(PaymentFacts::default())
            }
        }
    }

    /// Merges facts into a freshly read order. If the account owes credits for other orders, they
    /// are deducted from the credits that this order grants.
    async fn merge_into_order(
        &self,
        order: Order,
        facts: &PaymentFacts,
        clock: &Clock,
    ) -> Result<Order> {
        let (order, owes) = self.apply_facts(order, facts, clock).await?;
        if owes && order.granted > Credits::ZERO {
            self.collect_owed(&order.account, clock).await?;
        }
        Ok(order)
    }
}
