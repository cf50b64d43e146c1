//! Output to the terminal, failures, and Ctrl-C. `println!` panics if the output can't be written, for
//! example if the program that reads it has exited, as in `| head -1`, or if the disk is full.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// True in the program, whose output may be closed. In a test it is false, because only `println!`
/// lets the test harness capture the line.
static MAY_CLOSE: AtomicBool = AtomicBool::new(false);

/// Declares that this process is the program and not a test, so its output may be closed at any
/// time.
pub fn tolerate_closed_output() {
    MAY_CLOSE.store(true, Ordering::Relaxed);
}

/// Prints a line as `println!` does, if the output can be written.
#[macro_export]
macro_rules! say {
    () => { $crate::terminal::print(format_args!("")) };
    ($($text:tt)+) => { $crate::terminal::print(format_args!($($text)+)) };
}

/// Prints a line as `eprintln!` does, if standard error can be written to.
#[macro_export]
macro_rules! note {
    ($($text:tt)+) => { $crate::terminal::print_error(format_args!($($text)+)) };
}

/// The [`say!`](crate::say) macro as a function.
#[allow(clippy::print_stdout)]
pub fn print(line: Arguments<'_>) {
    match MAY_CLOSE.load(Ordering::Relaxed) {
        true => _ = writeln!(io::stdout(), "{line}"),
        false => println!("{line}"),
    }
}

/// The [`note!`](crate::note) macro as a function.
#[allow(clippy::print_stderr)]
pub fn print_error(line: Arguments<'_>) {
    match MAY_CLOSE.load(Ordering::Relaxed) {
        true => _ = writeln!(io::stderr(), "{line}"),
        false => eprintln!("{line}"),
    }
}

/// Prints the result of a command, if it isn't empty.
///
/// # Errors
/// Fails with an error message if the result can't be written, unless the program that reads it has
/// exited.
pub fn print_result(result: &str) -> Result<(), String> {
    if result.is_empty() {
        return Ok(());
    }
    let mut output = io::stdout().lock();
    match writeln!(output, "{result}").and_then(|()| output.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("The command has done its work, but its output can't be written: {error}."))
        }
        _ => Ok(()),
    }
}

/// Why a command ends without success. Contains the message for the terminal.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command has failed.
    Failed(String),
    /// A signal has interrupted the command.
    Interrupted(Signal, String),
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self::Failed(sentence)
    }
}

/// A signal that ends a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// The signal that stops a service.
    Terminate,
}

impl Signal {
    /// Returns the exit code of a program that this signal has ended, as shells report it.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Returns a future that waits for Ctrl-C, or for the signal that stops a service. It also notices
/// signals that arrive before it is awaited.
#[cfg(unix)]
pub(crate) fn interruption() -> Result<impl Future<Output = Signal>, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| error.to_string());
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Signal::Interrupt,
            _ = terminate.recv() => Signal::Terminate,
        }
    })
}

#[cfg(not(unix))]
pub(crate) fn interruption() -> Result<impl Future<Output = Signal>, String> {
    let mut interrupt = tokio::signal::windows::ctrl_c().map_err(|error| error.to_string())?;
    Ok(async move {
        interrupt.recv().await;
        Signal::Interrupt
    })
}

#[cfg(test)]
mod tests {
    use super::Signal;

    #[test]
    fn signals_end_programs_with_the_codes_of_shells() {
        assert_eq!([Signal::Interrupt, Signal::Terminate].map(Signal::exit_code), [130, 143]);
    }
}
