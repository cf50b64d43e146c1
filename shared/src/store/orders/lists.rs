//! Reads of orders: a single order by its id, and the lists of all orders, of a buyer's purchases,
//! and of orders that an administrator should look at.

use crate::store::orders::Order;
use crate::store::schema::{ATTENTION, ORDER, PURCHASE, order_pk, pk};
use crate::store::{Item, Result, Store, from_item, is_id, text};

impl Store {
    /// Returns the order with this id. Strongly consistent.
    pub async fn order(&self, id: &str) -> Result<Option<Order>> {
        match is_id(id) {
            true => self.get(&self.tables.tokens, pk(order_pk(id))).await,
            false => Ok(None),
        }
    }

    /// Returns at most a hundred orders that are older than the order `before`, newest first, and
    /// whether there may be more.
    pub async fn orders(&self, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
        self.orders_in((ORDER, ORDER), before).await
    }

    /// Returns the orders from `since` on, newest first. `since` is in milliseconds since 1970.
    pub async fn orders_since(&self, since: u64) -> Result<Vec<Order>> {
        let mut all: Vec<Order> = Vec::new();
        loop {
            let (page, more) = self.orders(all.last().map(Order::id)).await?;
            let is_last = page.last().is_some_and(|order| order.time < since);
            all.extend(page.into_iter().filter(|order| order.time >= since));
            if !more || is_last {
                return Ok(all);
            }
        }
    }

    /// Like [`Store::orders`], for one buyer.
    pub async fn purchases(
        &self,
        user_id: &str,
        before: Option<&str>,
    ) -> Result<(Vec<Order>, bool)> {
        self.orders_in((PURCHASE, user_id), before).await
    }

    /// Like [`Store::orders`], for orders that owe credits, are stranded or are disputed.
    pub async fn orders_to_look_at(&self, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
        self.orders_in((ATTENTION, ATTENTION), before).await
    }

    async fn orders_in(
        &self,
        (kind, user_id): (&str, &str),
        before: Option<&str>,
    ) -> Result<(Vec<Order>, bool)> {
        let mut before = before.map(str::to_owned);
        loop {
            let (ids, more) = self.ids_of_user(kind, user_id, before.as_deref()).await?;
            let orders = self.with_ids(ORDER, &ids).await?;
            // The index may still list orders that were just deleted. The caller continues at the
            // page's last order, so only the last page may be empty.
            if !orders.is_empty() || !more {
                return Ok((orders, more));
            }
            before = ids.last().cloned();
        }
    }
}

/// Returns the orders among these items from the Tokens table.
pub(in crate::store) fn orders(items: &[Item]) -> Result<Vec<Order>> {
    let is_order = |item: &&Item| text(item, "pk").starts_with(ORDER);
    items.iter().filter(is_order).cloned().map(from_item).collect()
}
