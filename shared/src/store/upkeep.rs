//! Background work: returning credits that were held when a function died, auditing balances, and
//! repairing restored tables.

pub(in crate::store) mod audit;
pub(in crate::store) mod reconcile;
pub(in crate::store) mod restore;
pub(in crate::store) mod sweep;

pub use audit::{AuditReport, Difference};
pub use reconcile::ReconcileReport;
pub use restore::{NewerTables, ReapplyInput, ReapplyReport};
pub use sweep::SweepReport;
