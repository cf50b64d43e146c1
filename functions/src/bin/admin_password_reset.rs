//! The Lambda binary for [`functions::admin::admin_password_reset`]. Written by `cargo xtask generate`.

use functions::admin::admin_password_reset::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_password_reset"), handle)
}
