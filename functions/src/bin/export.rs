//! The Lambda binary for [`functions::account::export`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::account::export::handle)
}
