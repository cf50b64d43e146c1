//! The program that `cargo run` starts, in its own process.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use reqwest::Client;
use serde_json::Value;
use shared::clock::CLOCK_AHEAD;
use uuid::Uuid;

use crate::support::lambda::Log;

const PROGRAM: &str = env!("CARGO_BIN_EXE_farebox");

/// The password of the administrators that the program creates.
pub const ADMIN_PASSWORD: &str = "correct horse";

/// Returns one of a process's memory figures, in MiB, selected by its
/// [name](https://man7.org/linux/man-pages/man5/proc_pid_status.5.html): `VmRSS` is the memory in
/// use, and `VmHWM` is the most so far.
pub fn memory(process: &Child, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    line.unwrap().trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() / 1024
}

/// A folder that is deleted at the end of the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("farebox-{}", Uuid::new_v4())))
    }

    /// A data folder with a store that contains the administrator `root`.
    pub fn with_store() -> Self {
        let folder = Self::new();
        let create = ["manage", "create-admin", "root", "--data", folder.path()];
        let output = run(&[&create[..], &["--password-env", "ADMIN_PASSWORD"]].concat());
        assert!(output.status.success(), "{output:?}");
        folder
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that runs in its own process.
pub struct RunningServer {
    program: Child,
    pub url: String,
    pub printed: String,
}

impl RunningServer {
    pub fn start(arguments: &[&str]) -> Self {
        Self::of(command(arguments))
    }

    pub fn of(command: Command) -> Self {
        let log = Log::new();
        Self::run(command, log.writer(), || log.text())
    }

    /// Starts a server that logs to `log`.
    pub fn logging(command: Command, log: Stdio) -> Self {
        Self::run(command, log, String::new)
    }

    /// Starts a server that logs to `log`. If the server doesn't start, `logged` returns the
    /// reason.
    fn run(mut command: Command, log: Stdio, logged: impl Fn() -> String) -> Self {
        let mut program = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.as_mut().unwrap());
        let mut printed = String::new();
        // When a server is ready, it prints a line with one of these strings.
        while !printed.lines().any(|line| {
            line.trim_start().starts_with("curl")
                || line.contains("/lambda.env")
                || line.contains("SIGNING_SECRET=")
        }) {
            assert_ne!(
                lines.read_line(&mut printed).unwrap(),
                0,
                "{command:?} stopped after {printed}\n{}",
                logged()
            );
        }
        let url =
            printed.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { program, url, printed }
    }

    /// The memory that the server uses, in MiB.
    pub fn memory(&self) -> u64 {
        memory(&self.program, "VmRSS")
    }

    /// Sends SIGINT, as Ctrl-C does, and waits until the server has stopped.
    pub fn interrupt(mut self) {
        let killed =
            Command::new("kill").args(["-INT", &self.program.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let mut rest = String::new();
        self.program.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        assert!(self.program.wait().unwrap().success(), "{rest}");
        assert!(rest.contains("Stopping."), "{rest}");
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let reply =
            Client::new().post(format!("{}{path}", self.url)).json(&body).send().await.unwrap();
        (reply.status().as_u16(), reply.json().await.unwrap())
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

/// Returns a command that runs the program with an environment that only selects the offline echo.
/// A server would otherwise query model servers on the machine that runs the tests.
pub fn command(arguments: &[&str]) -> Command {
    started(PROGRAM, arguments)
}

/// Returns a command that runs the released program at `FAREBOX`, or this build if the variable
/// isn't set.
pub fn of_release(arguments: &[&str]) -> Command {
    started(&std::env::var("FAREBOX").unwrap_or_else(|_| PROGRAM.to_owned()), arguments)
}

/// Makes a command work on the template's tables in the store at `dynamodb`.
pub fn over_tables<'c>(command: &'c mut Command, dynamodb: &str) -> &'c mut Command {
    for table in ["Users", "Tokens", "Keys", "Chats", "Ledger", "Files"] {
        command.env(format!("{}_TABLE", table.to_uppercase()), format!("{table}Table"));
    }
    command.env("DYNAMODB_ENDPOINT", dynamodb)
}

/// Clears a program's environment, and puts the program's clocks ahead by as much as this process's.
pub fn clear_environment(command: &mut Command) -> &mut Command {
    command.env_clear().envs(std::env::var(CLOCK_AHEAD).map(|seconds| (CLOCK_AHEAD, seconds)))
}

fn started(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    clear_environment(command.args(arguments));
    command.env("ADMIN_PASSWORD", ADMIN_PASSWORD).env("AI_PROVIDER", "echo");
    command
}

/// Runs the program.
pub fn run(arguments: &[&str]) -> Output {
    output_of(&mut command(arguments))
}

/// Runs a command of the program. Removes the line that names the store from the output, because
/// `tests/local/targets.rs` checks it.
pub fn output_of(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let lines = said.split_inclusive('\n').filter(|line| !line.starts_with("Store: "));
    Output { stderr: lines.collect::<String>().into_bytes(), ..output }
}
