//! The Lambda binary for [`functions::admin::admin_shares`]. Written by `cargo xtask generate`.

use functions::admin::admin_shares::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_shares"), handle)
}
