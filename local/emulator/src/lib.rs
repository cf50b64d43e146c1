//! The replacement for AWS and Stripe on one machine: [`gateway`] is a local API Gateway,
//! [`dynamo`] is an embedded DynamoDB, and [`checkout`] is a simulated Stripe. [`http_server`]
//! accepts connections for all three, and [`template`] reads their routes, functions and tables
//! from `template.yaml`.
//!
//! This code is a separate crate so that it can be optimised: under `cargo run`, requests spend
//! much of their time here. The crate `local`, with the commands and the tests, is compiled without
//! optimisation.

pub mod checkout;
pub mod dynamo;
pub mod gateway;
pub mod http_server;
pub mod template;
