//! The Lambda binary for [`functions::admin::admin_user`]. Written by `cargo xtask generate`.

use functions::admin::admin_user::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_user"), handle)
}
