//! A replacement for AWS and Stripe on one machine: [`gateway`] is a local API Gateway, [`dynamo`]
//! is an embedded DynamoDB, and [`checkout`] is a simulated Stripe. [`http_server`] accepts
//! connections for all three, and [`template`] reads their routes, functions and tables from
//! `template.yaml`.
//!
//! This code is a separate crate so that it can be optimized: under `cargo run`, requests spend
//! much of their time here. The `local` crate, which contains the commands and the tests, is
//! compiled without optimization.

pub mod checkout;
pub mod dynamo;
pub mod gateway;
pub mod http_server;
pub mod template;
