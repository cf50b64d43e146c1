//! Lists of all users, for administrators.

pub(in crate::store) mod census;
pub(in crate::store) mod filters;
pub(in crate::store) mod users;

pub use census::{CENSUS_AT_ONCE, Census, UserOrder};
pub use filters::{UserFilter, UserSource};
pub use users::Label;
