//! Data about requests: records of idempotency keys, retries, and the counts that limit abuse.

pub(in crate::store) mod attempts;
pub(in crate::store) mod quotas;
pub(in crate::store) mod records;
pub(in crate::store) mod retries;

pub use attempts::{Attempt, registered_from};
pub use quotas::Quota;
pub use records::Record;
pub use retries::UnkeyedRequest;
