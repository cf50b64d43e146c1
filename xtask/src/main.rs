//! Commands for developers of this project: `cargo xtask generate`, `new` and `list`.

mod alarms;
mod bins;
mod estimate;
mod events;
mod failures;
mod files;
mod functions;
mod groups;
mod list;
mod marks;
mod new;
mod permits;
mod routes;
mod scripts;
mod settings;
mod stack;
mod tables;
mod yaml;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::files::Files;

/// A message that says what went wrong or what to do.
type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Writes or prints what follows from the endpoints' rows.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes everything that follows from the rows and constants in functions/src, from
    /// shared/src/config/rows.rs, shared/src/error/failures.rs and xtask/src/alarms.rs
    Generate {
        /// Writes nothing, and fails if a file would change
        #[arg(long)]
        check: bool,
    },
    /// Adds a working endpoint: its source file, its row in the room's table, and its test
    New(new::NewEndpoint),
    /// Prints the endpoints and the background functions as JSON: routes, settings, time-out,
    /// memory, alias, reserved concurrency, trigger, and whether they call the AI or hash passwords
    List,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Generate { check } => generate(check),
        Command::New(endpoint) => root().and_then(|root| endpoint.write(&root)),
        Command::List => list::print(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the root of the repository in which Cargo runs this program. The program may have been
/// compiled in a different copy of the repository.
fn root() -> Result<PathBuf, Failure> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("Run it as `cargo xtask`.")?;
    Ok(Path::new(&package).join(".."))
}

fn generate(check: bool) -> Result<(), Failure> {
    let mut files = Files::new(root()?);
    let functions = functions::all()?;
    settings::generate(&mut files, &functions)?;
    stack::generate(&mut files, &functions)?;
    bins::generate(&mut files, &functions)?;
    events::generate(&mut files)?;
    failures::generate(&mut files)?;
    marks::generate(&mut files)?;
    scripts::generate(&mut files)?;
    routes::generate(&mut files, &functions)?;
    let groups = groups::groups(&functions)?;
    groups::generate(&mut files, &groups)?;
    let tables = tables::read(&files.read("template.yaml")?)?;
    alarms::generate(&mut files, &functions, &tables, &groups)?;
    // The estimate depends on what the other generators have written.
    estimate::generate(&mut files)?;
    if check { files.check() } else { files.write() }
}
