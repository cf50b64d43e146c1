//! The whole API in one process over an embedded DynamoDB: the endpoints of `functions`, behind a
//! gateway that calls them as API Gateway does. It has no behaviour of its own.
//!
//! [`template`] reads `template.yaml`, [`dynamo`] plays DynamoDB, [`gateway`] plays API Gateway,
//! [`door`] accepts connections for both, [`mail`] plays the table's stream and the mail server,
//! [`server`] starts them all, [`manage`] has the commands of administrators, [`restore`] those for
//! restored tables, and [`estimate`] computes what a deployment costs.

pub mod door;
pub mod dynamo;
pub mod estimate;
pub mod gateway;
pub mod mail;
pub mod manage;
pub mod restore;
pub mod server;
pub mod template;
