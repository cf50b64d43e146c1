//! The Lambda binary for [`functions::background::sweep`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(functions::background::sweep::work)
}
