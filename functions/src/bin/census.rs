//! The Lambda binary for [`functions::background::census`]. Written by `cargo xtask generate`.

use functions::background::census::work;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(work)
}
