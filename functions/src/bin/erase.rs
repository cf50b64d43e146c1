//! The Lambda binary for [`functions::background::erase`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(functions::background::erase::work)
}
