//! Reads orders: a single order by its id, all orders, a buyer's purchases, and the orders that
//! need an administrator's attention.

use crate::store::orders::Order;
use crate::store::schema::{ATTENTION, ORDER, PURCHASE, order_pk, pk};
use crate::store::{Item, Result, Store, from_item, is_id, text};

/// A list of orders.
#[derive(Clone, Copy)]
enum OrderList<'s> {
    /// All orders.
    All,
    /// The orders of the buyer with this user id.
    Buyer(&'s str),
    /// The orders that need an administrator's attention.
    Attention,
}

/// Reads a list of orders page by page, newest first.
pub struct OrderPages<'s> {
    store: &'s Store,
    list: OrderList<'s>,
    /// The id of the last order that was read.
    before: Option<String>,
    is_at_end: bool,
}

impl OrderPages<'_> {
    /// Returns the next page of at most a hundred orders. `None` after the last page.
    pub async fn next(&mut self) -> Result<Option<Vec<Order>>> {
        if self.is_at_end {
            return Ok(None);
        }
        let (page, more) = self.store.orders_in(self.list, self.before.as_deref()).await?;
        self.is_at_end = !more || page.is_empty();
        self.before = page.last().map(|order| order.id().to_owned());
        Ok(Some(page))
    }
}

impl Store {
    /// Returns the order with this id. Strongly consistent.
    pub async fn order(&self, id: &str) -> Result<Option<Order>> {
        match is_id(id) {
            true => self.get(&self.tables.tokens, pk(order_pk(id))).await,
            false => Ok(None),
        }
    }

    /// Returns the orders that are older than the order `before`, newest first (at most 100). Also
    /// returns whether there may be more.
    pub async fn orders(&self, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
        self.orders_in(OrderList::All, before).await
    }

    /// Returns the orders from `since` on, newest first. `since` is in milliseconds since 1970.
    pub async fn orders_since(&self, since: u64) -> Result<Vec<Order>> {
        let (mut pages, mut all) = (self.all_orders(None), Vec::new());
        while let Some(page) = pages.next().await? {
            let is_last = page.last().is_some_and(|order| order.time < since);
            all.extend(page.into_iter().filter(|order| order.time >= since));
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// Returns all orders that are older than the order `before`.
    pub(super) fn all_orders(&self, before: Option<String>) -> OrderPages<'_> {
        OrderPages { store: self, list: OrderList::All, before, is_at_end: false }
    }

    /// Returns all orders of one buyer.
    pub(super) fn all_purchases<'s>(&'s self, user_id: &'s str) -> OrderPages<'s> {
        OrderPages { store: self, list: OrderList::Buyer(user_id), before: None, is_at_end: false }
    }

    /// Returns all orders that owe credits, are stranded or are disputed.
    pub fn all_orders_to_look_at(&self) -> OrderPages<'_> {
        OrderPages { store: self, list: OrderList::Attention, before: None, is_at_end: false }
    }

    /// Like [`Store::orders`], for one buyer.
    pub async fn purchases(
        &self,
        user_id: &str,
        before: Option<&str>,
    ) -> Result<(Vec<Order>, bool)> {
        self.orders_in(OrderList::Buyer(user_id), before).await
    }

    /// Like [`Store::orders`], for orders that owe credits, are stranded or are disputed.
    pub async fn orders_to_look_at(&self, before: Option<&str>) -> Result<(Vec<Order>, bool)> {
        self.orders_in(OrderList::Attention, before).await
    }

    async fn orders_in(
        &self,
        list: OrderList<'_>,
        before: Option<&str>,
    ) -> Result<(Vec<Order>, bool)> {
        // The index lists an item under a kind and a user id. For a list of all buyers' orders, the
        // kind takes the place of the user id.
        let (kind, user_id) = match list {
            OrderList::All => (ORDER, ORDER),
            OrderList::Buyer(user_id) => (PURCHASE, user_id),
            OrderList::Attention => (ATTENTION, ATTENTION),
        };
        let mut before = before.map(str::to_owned);
        loop {
            let (ids, more) = self.ids_of_user(kind, user_id, before.as_deref()).await?;
            let orders = self.with_ids(ORDER, &ids).await?;
            // The index may still list orders that were just deleted. Callers continue at the last
            // order of a page, so a page must not be empty unless it is the last one.
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
