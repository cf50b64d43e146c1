//! The only writes that move credits. `docs/internals/money.md` describes the whole protocol.
//!
//! A chat is paid for in two steps. First, the [reserve](super::Store::reserve), one conditional
//! write, moves credits from the balance into a hold on the account. Then the
//! [settle](super::Store::settle) spends the hold and stores the chat, or the
//! [release](super::Store::release) returns the credits. At all times, `granted = tokens +
//! reservations + spent`. [`Store::stop`](super::Store::stop) only marks a hold and doesn't move
//! credits.

mod adjust;
mod alert;
mod allowance;
mod hold;
mod limits;
mod reconcile;
mod release;
mod reserve;
mod settle;
mod stop;
mod unlock;

pub use adjust::{AdjustOutcome, Adjustment};
pub use hold::Hold;
pub use limits::{ChatLimits, FreeWork, Refund, underheld};
pub use reserve::{ReserveOutcome, Shortage};
pub use settle::SettleOutcome;
pub use stop::StopOutcome;

use crate::values::Account;

/// Counts the AI work that no user pays for.
const FREE_WORK_UPDATE: &str =
    ", free_work.#free_work = if_not_exists(free_work.#free_work, :nothing) + :work";

/// How long a hold's id stays closed after its chat has ended, in seconds. After this time, copies
/// of the reserve can no longer arrive.
const CLOSED: u64 = 60;

/// The maximum number of outdated closed ids that one write removes. DynamoDB limits an expression
/// to 4 KB.
const OUTDATED: usize = 60;

/// Returns the account's outdated closed ids, but no more than one write removes.
fn outdated(account: &Account, now: u64) -> Vec<String> {
    account
        .closed
        .iter()
        .filter(|(_, until)| **until <= now)
        .map(|(id, _)| id.clone())
        .take(OUTDATED)
        .collect()
}

/// Extends the `remove` expression so that it removes these keys from a map. Returns the attribute
/// names that the expression uses.
fn append_removals(remove: &mut String, map: &str, keys: &[String]) -> Vec<(String, String)> {
    let named = |(index, key): (usize, &String)| {
        let name = format!("#{map}{index}");
        remove.push_str(&format!(", {map}.{name}"));
        (name, key.clone())
    };
    keys.iter().enumerate().map(named).collect()
}
