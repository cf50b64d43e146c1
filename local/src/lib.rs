//! The whole API in one process over an embedded DynamoDB: the endpoints of `functions`, behind a
//! gateway that speaks to them as API Gateway does. Holds no behaviour of the product.
//!
//! [`template`] reads what exists, [`dynamo`] plays DynamoDB, [`gateway`] plays API Gateway,
//! [`door`] is how both listen, [`mail`] plays the stream and the mail server, [`server`] puts them
//! together, and [`manage`] is what an administrator does from a terminal.

pub mod door;
pub mod dynamo;
pub mod gateway;
pub mod mail;
pub mod manage;
pub mod server;
pub mod template;
