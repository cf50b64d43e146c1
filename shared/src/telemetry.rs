//! Metrics and traces for operators.

pub mod metrics;
pub mod model_calls;
pub mod trace;
