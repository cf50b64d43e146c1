//! The list of orders that need an administrator's attention, because they owe credits, are
//! stranded, or are disputed. Administrators receive an e-mail about each dispute.

use serde::Serialize;
use uuid::Uuid;

use crate::Credits;
use crate::clock::Clock;
use crate::store::credentials::outbox::OutgoingEmail;
use crate::store::orders::Order;
use crate::store::schema::{ATTENTION, attention_pk, pk};
use crate::store::{Result, Store, StoreError, Transaction, Write, n, to_item};
use crate::values::Account;

/// The item that lists an order in need of attention.
#[derive(Serialize)]
struct Attention<'a> {
    pk: String,
    user_id: &'a str,
}

/// The results of a run of [`Store::tell_disputes`].
#[derive(Debug, Default)]
pub struct WaitingOrders {
    /// How many orders are stranded or disputed.
    pub orders: u64,
    /// How many disputes this run notified administrators of.
    pub disputes: u64,
    /// The first failure to notify administrators of a dispute.
    pub failure: Option<StoreError>,
}

impl Order {
    /// Returns true if the order needs an administrator's attention.
    pub(super) fn needs_attention(&self) -> bool {
        self.owed > Credits::ZERO || self.waits() || self.untold_disputes().is_some()
    }

    /// Returns true if only a person can resolve the order's state. Owed credits are collected
    /// automatically.
    fn waits(&self) -> bool {
        self.stranded.is_some() || self.facts.is_disputed()
    }

    /// Returns how many disputes the order has, if administrators haven't been notified of all of
    /// them.
    fn untold_disputes(&self) -> Option<u64> {
        let disputes = u64::try_from(self.facts.disputes.len()).unwrap_or(u64::MAX);
        (disputes > self.disputes_told).then_some(disputes)
    }
}

impl Store {
    /// Adds an order to the list of orders that need attention. The next collection removes it from
    /// the list once it no longer needs attention. Idempotent.
    pub async fn list_order(&self, order: &Order) -> Result<()> {
        self.send(&self.list_for_attention(order)?).await.map(drop)
    }

    pub(super) fn list_for_attention(&self, order: &Order) -> Result<Write> {
        let item = Attention { pk: attention_pk(order.id()), user_id: ATTENTION };
        Ok(Write::put(&self.tables.tokens, to_item(item)?))
    }

    pub(super) fn unlist(&self, order: &Order) -> Write {
        Write::delete(&self.tables.tokens, pk(attention_pk(order.id())))
    }

    /// Removes an order from the list, because it doesn't need attention. `order` must be freshly
    /// read. Earlier releases, which ignored disputes, may have left it on the list. Returns false
    /// if the order has changed since it was read.
    pub(super) async fn stop_listing(&self, order: &Order) -> Result<bool> {
        let unchanged = Write::check(&self.tables.tokens, pk(&order.pk))
            .condition("version = :seen")
            .values([(":seen", n(order.version))]);
        let writes = vec![unchanged, self.unlist(order)];
        let sent = self.transact(writes, &Uuid::new_v4().to_string()).await?;
        Ok(matches!(sent, Transaction::Applied))
    }

    /// Writes outgoing e-mails about orders with new disputes, to every administrator who has a
    /// verified address. E-mails are written only once for each dispute. Also counts the orders
    /// that wait for an administrator. If an order can't be processed, the run continues with the
    /// other orders, and the next run tries again.
    pub async fn tell_disputes(&self, clock: &Clock) -> Result<WaitingOrders> {
        let (mut waiting, mut pages) = (WaitingOrders::default(), self.all_orders_to_look_at());
        let mut administrators = None;
        while let Some(orders) = pages.next().await? {
            for order in &orders {
                waiting.orders += u64::from(order.waits());
                let Some(disputes) = order.untold_disputes() else { continue };
                let recipients = match &administrators {
                    Some(known) => known,
                    None => administrators.insert(self.administrators_by_email().await?),
                };
                match self.tell(order, disputes, recipients, clock.seconds()).await {
                    Ok(true) => waiting.disputes += disputes - order.disputes_told,
                    Ok(false) => {}
                    Err(error) => {
                        let (order, cause) = (order.id(), error.cause());
                        tracing::error!(order, cause, "a dispute can't be told");
                        waiting.failure.get_or_insert(error);
                    }
                }
            }
        }
        Ok(waiting)
    }

    /// Writes the e-mails about a freshly read order, and records the number of disputes that they
    /// cover. If the order doesn't need attention for any other reason, removes it from the list.
    /// Returns false if the order has changed, or if the e-mails were already written. Idempotent.
    async fn tell(
        &self,
        order: &Order,
        disputes: u64,
        administrators: &[Account],
        now: u64,
    ) -> Result<bool> {
        // Raise the version: a step that has already read the order must read it again, because the
        // step may assume that the order is listed.
        let recorded = Write::update(
            &self.tables.tokens,
            pk(&order.pk),
            "SET told = :disputes, version = :next",
        )
        .condition("version = :seen AND (attribute_not_exists(told) OR told < :disputes)")
        .values([
            (":seen", n(order.version)),
            (":next", n(order.version + 1)),
            (":disputes", n(disputes)),
        ]);
        let mut writes = vec![recorded];
        for Account { id, label, .. } in administrators {
            let email = OutgoingEmail::Disputed {
                user_id: id.clone(),
                name: label.clone(),
                order: order.id().to_owned(),
                price: order.price,
                currency: order.currency.clone(),
            };
            writes.push(self.post(&email, now)?);
        }
        if order.owed == Credits::ZERO && !order.waits() {
            writes.push(self.unlist(order));
        }
        let sent = self.transact(writes, &Uuid::new_v4().to_string()).await?;
        Ok(matches!(sent, Transaction::Applied))
    }
}
