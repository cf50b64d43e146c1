//! What replaces AWS on one machine: [`gateway`] plays API Gateway, [`dynamo`] plays DynamoDB, and
//! [`door`] accepts connections for both. [`template`] reads their routes, functions and tables from
//! `template.yaml`.
//!
//! It is a crate of its own so that it can be optimised: under `cargo run` a request spends much of
//! its time here. `local`, with the commands and the tests, is compiled without optimisation.

pub mod door;
pub mod dynamo;
pub mod gateway;
pub mod template;
