//! The accounts in the Users table: creating, finding, changing and deleting them.

pub(in crate::store) mod addresses;
pub(in crate::store) mod administration;
pub(in crate::store) mod deletion;
pub(in crate::store) mod find;
pub(in crate::store) mod instructions;
pub(in crate::store) mod listed;
pub(in crate::store) mod passwords;
pub(in crate::store) mod registration;

pub use addresses::Verifier;
pub use administration::StandingChange;
pub use deletion::ErasureReport;
pub use listed::ListedAccount;
pub use registration::{NewAccount, RegisterOutcome, nonce};
