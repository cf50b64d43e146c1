//! Orders for packs, stored in the Tokens table, and the credits that they move.
//!
//! An order contains the facts about its payment, and the credits that it has `granted` so far. The
//! facts determine how many credits the order should have granted. One transaction merges new facts
//! and moves the difference, on condition that the order's version hasn't changed. The result
//! therefore doesn't depend on the sequence in which facts arrive, on how often they arrive, or on
//! whether a function dies.
//!
//! If an order has to take back more credits than the balance contains, the rest is `owed`. It is
//! deducted from the account's next grant, or by the daily collection.

mod attention;
mod debts;
mod facts;
mod items;
mod lists;
mod steps;
mod totals;
mod unpaid;

pub use items::Order;
pub use lists::OrderPages;

pub(in crate::store) use lists::orders;
pub(in crate::store) use totals::OrderTotals;
