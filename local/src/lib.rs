//! The whole API in one process: the endpoints in `functions`, between the local API Gateway and
//! the embedded DynamoDB in `emulator`. This crate doesn't add any behaviour to the product.
//!
//! Each command of `farebox` is a module: [`serve`] runs without a command, [`dynamodb`] serves
//! only the store, [`manage`] contains the commands for administrators, and [`estimate`] computes
//! what a deployment costs. [`server`] starts the parts of the local server.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod dynamodb;
pub mod estimate;
pub mod list_file;
pub mod manage;
pub mod serve;
pub mod server;
pub mod terminal;
