//! `cargo run` serves the API on one machine, and `cargo run -- dynamodb` serves only its store.
//! `cargo run -- manage` runs the commands for administrators, and `cargo run -- estimate`
//! estimates what a deployment costs. The library defines each command's options next to the
//! command's code.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use local::dynamodb::Dynamodb;
use local::estimate::EstimateCommand;
use local::manage::Manage;
use local::note;
use local::serve::Serve;
use local::terminal::{Failure, tolerate_closed_output};
use mimalloc::MiMalloc;
use shared::config::{LogConfig, Settings, variable};
use shared::telemetry::metrics;
use tracing_subscriber::filter::{FilterExt, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Farebox, a token-metered AI chat back end. Without a command, Farebox serves the whole API on
/// this machine, over an embedded DynamoDB.
#[derive(Parser)]
#[command(name = "farebox", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    Dynamodb(Dynamodb),
    Manage(Manage),
    Estimate(EstimateCommand),
}

fn main() -> ExitCode {
    tolerate_closed_output();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(run()),
        Err(error) => {
            note!("error: The program can't start: {error}.");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // The first paragraph of clap's message is the failure, and the rest is the usage.
            let text = error.to_string();
            let sentence: Vec<&str> =
                text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let sentence = sentence.join(" ");
            note!("{sentence} (--help lists commands and options)");
            return ExitCode::from(2);
        }
        Err(help) => {
            // Ignore the error if the reader has closed the pipe, because it has read enough.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let log = match LogConfig::read(&Settings::from_env()) {
        Ok(log) => log,
        Err(error) => {
            note!("error: {error}.");
            return ExitCode::FAILURE;
        }
    };
    let asked = variable("RUST_LOG").unwrap_or_else(|| format!("{},aws_config=error", log.level));
    let asked = match EnvFilter::try_new(asked) {
        Ok(asked) => asked,
        Err(error) => {
            note!("error: RUST_LOG can't be used: {error}.");
            return ExitCode::FAILURE;
        }
    };
    // Never log below INFO, even if RUST_LOG sets a lower level: at lower levels, AWS's clients log
    // whole requests and replies, including hashes, addresses and messages.
    let lines =
        fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(asked.and(LevelFilter::INFO))).init();
    // A terminal shows metrics only on request. On AWS, metrics are lines in the log.
    if let Some(namespace) = log.metrics {
        metrics::start(namespace, metrics::to_stdout);
    }
    let done = match cli.command {
        None => cli.serve.run().await.map_err(Failure::Failed),
        Some(Command::Dynamodb(command)) => command.run().await.map_err(Failure::Failed),
        Some(Command::Manage(command)) => command.run().await,
        Some(Command::Estimate(command)) => command.run().map_err(Failure::Failed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(sentence)) => {
            note!("error: {sentence}");
            ExitCode::FAILURE
        }
        Err(Failure::Interrupted(signal, sentence)) => {
            note!("{sentence}");
            ExitCode::from(signal.exit_code())
        }
    }
}
