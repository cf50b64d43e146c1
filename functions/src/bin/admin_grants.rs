//! The Lambda binary for [`functions::admin::admin_grants`]. Written by `cargo xtask generate`.

use functions::admin::admin_grants::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_grants"), handle)
}
