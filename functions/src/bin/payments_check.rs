//! The Lambda binary for [`functions::background::payments_check`]. Written by `cargo xtask generate`.

use functions::background::payments_check::work;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(work)
}
