//! The whole API in one process: the endpoints of `functions`, between the API Gateway and the
//! DynamoDB that `emulator` plays. It has no behaviour of its own.
//!
//! [`server`] starts everything, [`manage`] has the commands of administrators, and [`estimate`]
//! computes what a deployment costs.

pub mod estimate;
pub mod manage;
pub mod server;
