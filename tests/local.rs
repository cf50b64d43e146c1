//! `cargo run`: the commands, the ports, the embedded DynamoDB, and the model servers.

mod cli;
mod dynamo;
mod http_server;
mod model_servers;
mod targets;
