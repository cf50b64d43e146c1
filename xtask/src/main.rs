//! Commands for developers of this project: `cargo xtask generate` and `cargo xtask new`.

mod alarms;
mod bins;
mod events;
mod files;
mod groups;
mod new;
mod routes;
mod template;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::files::Files;
use crate::template::Template;

/// A sentence that says what went wrong or what to do.
type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Writes what follows from the endpoints' rows.")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Writes all files that follow from the rows in functions/src, template.yaml and
    /// xtask/src/alarms.rs
    Generate {
        /// Writes nothing, and fails if a file would change
        #[arg(long)]
        check: bool,
    },
    /// Adds a working endpoint: its source file, its row in the room's table, its block in
    /// template.yaml, and its test
    New(new::Endpoint),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Generate { check } => generate(check),
        Command::New(endpoint) => root().and_then(|root| endpoint.write(&root)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the root of the repository in which Cargo runs this program. That repository may be a
/// copy of the one in which the program was compiled.
fn root() -> Result<PathBuf, Failure> {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").ok_or("Run it as `cargo xtask`.")?;
    Ok(Path::new(&package).join(".."))
}

fn generate(check: bool) -> Result<(), Failure> {
    let mut files = Files::new(root()?);
    let template = Template::read(&files.read("template.yaml")?)?;
    bins::generate(&mut files, &template)?;
    events::generate(&mut files)?;
    routes::generate(&mut files, &template)?;
    let groups = groups::groups(&template)?;
    groups::generate(&mut files, &groups)?;
    alarms::generate(&mut files, &template, &groups)?;
    if check { files.check() } else { files.write() }
}
