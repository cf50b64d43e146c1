//! The only writes that move credits. `docs/internals/money.md` has the whole protocol.
//!
//! A chat is paid in two steps. [`Store::reserve`](super::Store::reserve) takes the credits from
//! the balance in one conditional write and keeps them on the account;
//! [`Store::settle`](super::Store::settle) turns them into a stored chat, or
//! [`Store::release`](super::Store::release) returns them. At every moment
//! `granted = tokens + reservations + spent`. [`Store::stop`](super::Store::stop) only marks a
//! hold.

mod adjust;
mod hold;
mod limits;
mod reconcile;
mod release;
mod reserve;
mod settle;
mod stop;

pub use adjust::{AdjustOutcome, Adjustment};
pub use hold::Hold;
pub use limits::{ChatLimits, Refund};
pub use reserve::ReserveOutcome;
pub use settle::SettleOutcome;
pub use stop::StopOutcome;

use crate::values::Account;

/// How long a hold's id stays closed after its chat, in seconds: until no copy of the
/// reserve can still arrive.
const CLOSED: u64 = 60;

/// How many outdated closed ids one write removes: an expression has 4 KB at most.
const OUTDATED: usize = 60;

/// The account's outdated closed ids, at most as many as one write removes.
fn outdated(account: &Account, now: u64) -> Vec<String> {
    account
        .closed
        .iter()
        .filter(|(_, until)| **until <= now)
        .map(|(id, _)| id.clone())
        .take(OUTDATED)
        .collect()
}

/// Appends the removal of these keys of a map to `remove`. Returns the names that it uses.
fn append_removals(remove: &mut String, map: &str, keys: &[String]) -> Vec<(String, String)> {
    let named = |(index, key): (usize, &String)| {
        let name = format!("#{map}{index}");
        remove.push_str(&format!(", {map}.{name}"));
        (name, key.clone())
    };
    keys.iter().enumerate().map(named).collect()
}
