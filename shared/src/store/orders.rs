//! Orders of packs in the Tokens table, and the credits that they move.
//!
//! An order contains the facts about its payment, and the credits that it has `given` so far. The
//! facts determine what it should have given. One transaction merges new facts and moves the
//! difference, on condition that the order's version hasn't changed. So it doesn't matter in which
//! order facts arrive, how often, or where a function dies.
//!
//! If credits must return that the account no longer has, the rest is `owed`: the account's next
//! grant pays it, or the daily collection.

mod attention;
mod debts;
mod facts;
mod items;
mod lists;
mod steps;
mod totals;
mod unpaid;

pub use items::Order;

pub(in crate::store) use lists::orders;
pub(in crate::store) use totals::OrderTotals;
