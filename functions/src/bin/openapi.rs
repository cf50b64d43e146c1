//! The Lambda binary for [`functions::service::openapi`]. Written by `cargo xtask generate`.

use functions::service::openapi::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("openapi"), handle)
}
