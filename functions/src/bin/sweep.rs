//! The Lambda binary for [`functions::background::sweep`]. Written by `cargo xtask generate`.

use functions::background::sweep::work;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(work)
}
