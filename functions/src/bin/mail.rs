//! The Lambda binary for [`functions::background::mail`]. Written by `cargo xtask generate`.

use functions::background::mail::work;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_outbox(work)
}
