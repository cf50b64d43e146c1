//! `cargo run`: the commands, the ports, and the embedded DynamoDB.

mod cli;
mod door;
mod dynamo;
mod targets;
