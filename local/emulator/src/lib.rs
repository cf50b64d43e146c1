//! What the functions run on when they run without AWS: [`gateway`] plays API Gateway, [`dynamo`]
//! plays DynamoDB, and [`door`] accepts connections for both. [`template`] reads `template.yaml`,
//! which says what they have: routes, functions and tables.
//!
//! A crate of its own, since it is what a request under `cargo run` spends its time in: it is
//! compiled with optimisation, and the commands and tests of `local` aren't.

pub mod door;
pub mod dynamo;
pub mod gateway;
pub mod template;
