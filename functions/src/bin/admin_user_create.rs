//! The Lambda binary for [`functions::admin::admin_user_create`]. Written by `cargo xtask generate`.

use functions::admin::admin_user_create::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_user_create"), handle)
}
