//! The whole API in one process: the endpoints in `functions`, between the local API Gateway and
//! the embedded DynamoDB in `emulator`. This crate adds no behaviour to the product.
//!
//! [`server`] starts everything, [`manage`] has the commands of administrators, and [`estimate`]
//! computes what a deployment costs.

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod estimate;
pub mod manage;
pub mod offer_file;
pub mod server;
pub mod terminal;
