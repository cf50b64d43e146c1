//! The Ledger table: entries that move credits, administrators' actions, and the figures that are
//! computed from its rows.

pub(in crate::store) mod acts;
pub(in crate::store) mod costs;
pub(in crate::store) mod entries;
pub(in crate::store) mod figures;
pub(in crate::store) mod interventions;
pub(in crate::store) mod readings;
pub(in crate::store) mod spenders;
pub(in crate::store) mod usual;

pub use acts::{ActFilter, TrailEntry};
pub use costs::{CostLine, Costs};
pub use figures::{Figures, is_closed};
pub use interventions::PlannedIntervention;
pub use readings::Reading;
pub use spenders::{Spender, Spenders};
pub use usual::UsualUsage;
