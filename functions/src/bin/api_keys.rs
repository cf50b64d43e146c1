//! The Lambda binary for [`functions::account::api_keys`]. Written by `cargo xtask generate`.

use functions::account::api_keys::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("api_keys"), handle)
}
