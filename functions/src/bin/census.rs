//! The Lambda binary for [`functions::background::census`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_schedule(functions::background::census::work)
}
