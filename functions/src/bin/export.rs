//! The Lambda binary for [`functions::account::export`]. Written by `cargo xtask generate`.

use functions::account::export::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("export"), handle)
}
