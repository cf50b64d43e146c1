//! The operator's tools: the log, metrics, traces, the audit, the signing keys and other secrets.

mod audit;
mod import_files;
mod imports;
mod invocations;
mod keys;
mod metrics;
mod model_calls;
mod secrets;
mod traces;
mod trail;
