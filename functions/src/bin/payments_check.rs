//! The Lambda binary for [`functions::background::payments_check`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(functions::background::payments_check::work)
}
