//! The Lambda binary for [`functions::admin::admin_api_keys_revoke`]. Written by `cargo xtask generate`.

use functions::admin::admin_api_keys_revoke::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_api_keys_revoke"), handle)
}
