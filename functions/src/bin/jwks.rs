//! The Lambda binary for [`functions::service::jwks`]. Written by `cargo xtask generate`.

use functions::service::jwks::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("jwks"), handle)
}
