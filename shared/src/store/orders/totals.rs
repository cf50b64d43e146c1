//! The totals of orders' ledger rows. The audit compares orders with these totals, and a restore
//! sets the orders' values to the totals.

use std::collections::BTreeMap;

use crate::Credits;
use crate::clock::Clock;
use crate::store::orders::Order;
use crate::store::{Result, Store, StoreError, from_item};
use crate::values::{Account, Entry, Payment, PaymentFacts};

/// The totals of an account's orders, keyed by order id.
#[derive(Default)]
pub(in crate::store) struct OrderTotals(BTreeMap<String, Totals>);

/// The totals of an order's ledger rows.
#[derive(Clone, Debug, Default)]
struct Totals {
    granted: i128,
    money: i128,
    /// The order's version after the last row.
    step: u64,
    row: Option<String>,
}

impl OrderTotals {
    /// Adds an entry, if it belongs to an order. Entries must be added oldest first.
    pub(in crate::store) fn add(&mut self, entry: &Entry) {
        let Some(Payment { order, money, .. }) = &entry.payment else { return };
        let totals = self.0.entry(order.clone()).or_default();
        totals.granted += i128::from(entry.amount);
        totals.money += i128::from(*money);
        let step = entry.source.as_ref().and_then(|source| source.text().rsplit(':').next());
        totals.step = totals.step.max(step.and_then(|step| step.parse().ok()).unwrap_or(0));
        totals.row = Some(entry.entry_id.clone());
    }
}

impl Order {
    /// Returns the order with the totals of its ledger rows.
    fn with_totals(&self, totals: &OrderTotals) -> Self {
        let Totals { granted, money, step, row } =
            totals.0.get(self.id()).cloned().unwrap_or_default();
        Self {
            granted: u64::try_from(granted).ok().and_then(Credits::new).unwrap_or_default(),
            money: u64::try_from(money).unwrap_or_default(),
            row,
            version: self.version.max(step),
            ..self.clone()
        }
    }
}

impl Store {
    /// Compares orders with their ledger rows. Returns the ids of orders that differ from their
    /// rows, and how many credits the orders owe in total. The orders of a deleted account no
    /// longer move credits.
    pub(in crate::store) async fn audit_orders(
        &self,
        is_deleted: bool,
        totals: &OrderTotals,
    ) -> Result<(Vec<String>, i128)> {
        let (mut unexplained, mut owed) = (Vec::new(), 0);
        for (id, of_rows) in &totals.0 {
            let order = self.order(id).await?;
            owed += order.as_ref().map_or(0, |order| i128::from(order.owed.get()));
            let is_explained = order.is_some_and(|order| {
                let has_target = order.granted.checked_sub(order.owed) == Some(order.target());
                i128::from(order.granted.get()) == of_rows.granted
                    && i128::from(order.money) == of_rows.money
                    && (has_target || order.stranded.is_some() || is_deleted)
            });
            if !is_explained {
                unexplained.push(id.clone());
            }
        }
        Ok((unexplained, owed))
    }

    /// Changes the restored orders of an account so that they match their ledger rows. Returns
    /// descriptions of the repairs, and how many credits the account owes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if an order changes at the same time.
    pub(in crate::store) async fn reconcile_orders(
        &self,
        orders: &[Order],
        totals: &OrderTotals,
    ) -> Result<(Vec<String>, Credits)> {
        let (mut repairs, mut owed) = (Vec::new(), Credits::ZERO);
        for order in orders {
            let fixed = order.with_totals(totals);
            let due = fixed.granted.checked_sub(fixed.target()).unwrap_or_default();
            let fixed = Order { owed: due, ..fixed };
            owed = owed.checked_add(fixed.owed).unwrap_or(Credits::MAX);
            if fixed != *order {
                let is_applied = self.send(&self.update_of(order, &fixed)?).await?.is_applied();
                // A refusal may mean that an earlier copy of the write was applied.
                if !is_applied && self.order(order.id()).await?.as_ref() != Some(&fixed) {
                    return Err(StoreError::Unavailable(
                        "an order changed while it was reconciled".into(),
                    ));
                }
                repairs.push(format!(
                    "the purchase {} has given {} tokens, as in the ledger",
                    fixed.id(),
                    fixed.granted
                ));
            }
            if fixed.needs_attention() {
                self.send(&self.list_for_attention(&fixed)?).await?;
            }
        }
        Ok((repairs, owed))
    }

    /// Moves the credits that a restored order hasn't moved yet, although the order's payment is
    /// stored. Returns a description of the repair.
    pub(in crate::store) async fn move_missing_credits(
        &self,
        id: &str,
        clock: &Clock,
    ) -> Result<Option<String>> {
        let Some(order) = self.order(id).await? else { return Ok(None) };
        let had = order.granted;
        let (order, _) = self.apply_facts(order, &PaymentFacts::default(), clock).await?;
        Ok((order.granted != had)
            .then(|| format!("the purchase {id} has given {} tokens now", order.granted)))
    }

    /// Stores an order that was lost in a restore, with the totals of its ledger rows. Idempotent.
    pub async fn restore_order(&self, account: &Account, order: &Order) -> Result<()> {
        let mut totals = OrderTotals::default();
        let mut rows =
            self.all_of(&self.tables.ledger, &account.id).into_paginator().items().send();
        while let Some(row) = rows.try_next().await? {
            totals.add(&from_item(row)?);
        }
        self.create_order(account, &order.with_totals(&totals)).await
    }
}
