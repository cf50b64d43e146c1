//! The Lambda binary for [`functions::account::api_key_revoke`]. Written by `cargo xtask generate`.

use functions::account::api_key_revoke::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("api_key_revoke"), handle)
}
