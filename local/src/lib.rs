//! The whole API in one process: the endpoints of `functions`, between the API Gateway and the
//! DynamoDB that `emulator` plays. It has no behaviour of its own.
//!
//! [`mail`] plays the table's stream and the mail server, [`server`] starts everything, [`manage`]
//! has the commands of administrators, [`restore`] those for restored tables, and [`estimate`]
//! computes what a deployment costs.

pub mod estimate;
pub mod mail;
pub mod manage;
pub mod restore;
pub mod server;
