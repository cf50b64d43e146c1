//! The daily collection. It deducts owed credits from accounts that have received credits in the
//! meantime, and retries grants that failed before.

use crate::Credits;
use crate::clock::Clock;
use crate::store::{Result, Store};
use crate::values::PaymentFacts;

impl Store {
    /// Deducts the credits that an account owes, up to its balance.
    pub(in crate::store) async fn collect_owed(&self, user_id: &str, clock: &Clock) -> Result<()> {
        let mut pages = self.all_purchases(user_id);
        while let Some(orders) = pages.next().await? {
            for order in orders.into_iter().filter(|order| order.owed > Credits::ZERO) {
                self.apply_facts(order, &PaymentFacts::default(), clock).await?;
            }
        }
        Ok(())
    }

    /// Deducts owed credits from all accounts that have received credits, and retries moving
    /// stranded credits. Returns how many orders still need an administrator's attention. If an
    /// order fails, the collection continues with the other orders.
    pub async fn collect(&self, clock: &Clock) -> Result<usize> {
        let (mut pages, mut left) = (self.all_orders_to_look_at(), 0);
        while let Some(orders) = pages.next().await? {
            for order in orders {
                let known = PaymentFacts::default();
                let id = order.id().to_owned();
                let needs_attention = match self.apply_facts(order, &known, clock).await {
                    Ok((after, _)) if after.needs_attention() => true,
                    Ok((after, _)) => !self.stop_listing(&after).await.unwrap_or_else(|error| {
                        tracing::error!(order = id, cause = error.cause(), "is still listed");
                        false
                    }),
                    Err(error) => {
                        tracing::error!(order = id, cause = error.cause(), "can't be collected");
                        true
                    }
                };
                left += usize::from(needs_attention);
            }
        }
        Ok(left)
    }
}
