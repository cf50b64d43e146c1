//! `cargo run`: the commands, the ports, the embedded DynamoDB, and the model servers.

mod cli;
mod door;
mod dynamo;
mod model_servers;
mod targets;
