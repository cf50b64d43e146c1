//! The Lambda binary for [`functions::admin::admin_user_change`]. Written by `cargo xtask generate`.

use functions::admin::admin_user_change::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_user_change"), handle)
}
