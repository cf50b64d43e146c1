//! Sources of credits that are granted at most once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The source of granted credits, such as a voucher, or a message whose price is returned. A source
/// grants credits only once, however often and by whomever they are requested.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Source(String);

impl Source {
    /// Returns the source for the refund of a user's message.
    pub fn refund(user_id: &str, chat_id: &str) -> Self {
        Self(format!("refund:{user_id}:{chat_id}"))
    }

    /// Returns the source for a voucher that a user has redeemed. `hash` is the hash of the
    /// voucher's code.
    pub fn voucher(hash: &str, user_id: &str) -> Self {
        Self(format!("voucher:{hash}:{user_id}"))
    }

    /// Returns the source for an order's `step`, counted from 1. Each step moves credits only once.
    pub fn payment(order: &str, step: u64) -> Self {
        Self(format!("stripe:{order}:{step}"))
    }

    /// Returns the source for the balance of an imported account. `account` identifies the account
    /// in the other system.
    pub fn import(name: &str, account: &str) -> Self {
        Self(format!("import:{name}:{account}"))
    }

    /// Returns the source with this stored form.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the source as it is stored: its kind, a colon, and its id.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
