//! Functions that events invoke instead of requests.

pub mod low_balance;
pub mod mail;
pub mod payments_check;
