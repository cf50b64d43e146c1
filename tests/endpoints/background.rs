//! Functions that are invoked by events instead of requests.

pub mod low_balance;
pub mod mail;
pub mod payments_check;
