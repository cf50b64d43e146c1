//! What operators see: metrics and traces.

pub mod metrics;
pub mod trace;
