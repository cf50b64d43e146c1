//! The list of orders that an administrator should look at: those that owe credits, are stranded
//! or are disputed. Administrators get an e-mail about each dispute.

use serde::Serialize;
use uuid::Uuid;

use crate::Credits;
use crate::clock::Clock;
use crate::store::credentials::outbox::OutgoingEmail;
use crate::store::orders::Order;
use crate::store::schema::{ATTENTION, attention_pk, pk};
use crate::store::{Result, Store, Transaction, Write, n, to_item};
use crate::values::Account;

/// The item that lists an order which an administrator should look at.
#[derive(Serialize)]
struct Attention<'a> {
    pk: String,
    user_id: &'a str,
}

/// The orders that wait for an administrator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaitingOrders {
    /// The number of orders that are stranded or disputed.
    pub orders: u64,
    /// The number of disputes of which administrators have been told now.
    pub disputes: u64,
}

impl Order {
    /// Returns true if an administrator should look at the order.
    pub(super) fn needs_attention(&self) -> bool {
        self.owed > Credits::ZERO || self.waits() || self.untold_disputes().is_some()
    }

    /// Returns true if only a person can do something about the order. Nothing needs to be done
    /// about owed credits.
    fn waits(&self) -> bool {
        self.stranded.is_some() || self.facts.is_disputed()
    }

    /// Returns the number of disputes if administrators haven't been told about all of them.
    fn untold_disputes(&self) -> Option<u64> {
        let disputes = u64::try_from(self.facts.disputes.len()).unwrap_or(u64::MAX);
        (disputes > self.told).then_some(disputes)
    }
}

impl Store {
    /// Lists an order among those that an administrator should look at. If it needs no attention
    /// any more, the next collection removes it from the list. Idempotent.
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

    /// Removes an order that was just read, and needs no attention, from the list of those that do.
    /// An earlier release may have left it there, because it doesn't list disputed orders. Returns
    /// false if the order has changed since then.
    pub(super) async fn stop_listing(&self, order: &Order) -> Result<bool> {
        let unchanged = Write::check(&self.tables.tokens, pk(&order.pk))
            .condition("version = :seen")
            .values([(":seen", n(order.version))]);
        let writes = vec![unchanged, self.unlist(order)];
        let sent = self.transact(writes, &Uuid::new_v4().to_string()).await?;
        Ok(matches!(sent, Transaction::Applied))
    }

    /// Writes an outgoing e-mail to each administrator with a verified address, for each order with
    /// new disputes. Each dispute is told once. Also counts the orders that wait for an
    /// administrator.
    pub async fn tell_disputes(&self, clock: &Clock) -> Result<WaitingOrders> {
        let (mut waiting, mut before) = (WaitingOrders::default(), None);
        let mut administrators = None;
        loop {
            let (orders, more) = self.orders_to_look_at(before.as_deref()).await?;
            before = orders.last().map(|order| order.id().to_owned());
            for order in &orders {
                waiting.orders += u64::from(order.waits());
                let Some(disputes) = order.untold_disputes() else { continue };
                let told = match &administrators {
                    Some(told) => told,
                    None => administrators.insert(self.administrators_by_email().await?),
                };
                if self.tell(order, disputes, told, clock.seconds()).await? {
                    waiting.disputes += disputes - order.told;
                }
            }
            if !more || before.is_none() {
                return Ok(waiting);
            }
        }
    }

    /// Writes the e-mails about an order that was just read, and records how many disputes they are
    /// about. If nothing else needs attention, the order is no longer listed. Returns false if the
    /// order has changed, or the e-mails have been written already. Idempotent.
    async fn tell(
        &self,
        order: &Order,
        disputes: u64,
        administrators: &[Account],
        now: u64,
    ) -> Result<bool> {
        let told = Write::update(&self.tables.tokens, pk(&order.pk), "SET told = :disputes")
            .condition("version = :seen AND (attribute_not_exists(told) OR told < :disputes)")
            .values([(":seen", n(order.version)), (":disputes", n(disputes))]);
        let mut writes = vec![told];
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
