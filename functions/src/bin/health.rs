//! The Lambda binary for [`functions::service::health`]. Written by `cargo xtask generate`.

use functions::service::health::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("health"), handle)
}
