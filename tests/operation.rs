//! The operator's tools: the log, metrics, traces, the audit and the signing keys.

mod audit;
mod imports;
mod invocations;
mod keys;
mod metrics;
mod secrets;
mod traces;
mod trail;
