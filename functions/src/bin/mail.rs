//! The Lambda binary for [`functions::background::mail`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_outbox(functions::background::mail::work)
}
