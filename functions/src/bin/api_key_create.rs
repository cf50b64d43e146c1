//! The Lambda binary for [`functions::account::api_key_create`]. Written by `cargo xtask generate`.

use functions::account::api_key_create::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("api_key_create"), handle)
}
