//! Metrics and traces for operators.

pub mod metrics;
pub mod trace;
