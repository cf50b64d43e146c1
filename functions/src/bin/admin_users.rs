//! The Lambda binary for [`functions::admin::admin_users`]. Written by `cargo xtask generate`.

use functions::admin::admin_users::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_users"), handle)
}
