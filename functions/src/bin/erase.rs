//! The Lambda binary for [`functions::background::erase`]. Written by `cargo xtask generate`.

use functions::background::erase::work;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(work)
}
