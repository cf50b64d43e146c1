//! The Lambda binary for [`functions::admin::admin_export`]. Written by `cargo xtask generate`.

use functions::admin::admin_export::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("admin_export"), handle)
}
