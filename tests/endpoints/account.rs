//! A user's account: profile, balance, statement, API keys, export and deletion.

pub mod account_delete;
pub mod allowances;
pub mod api_keys;
pub mod balance;
pub mod export;
pub mod key_limits;
pub mod ledger;
pub mod profile;
pub mod profile_change;
pub mod purchases;
pub mod vouchers;
