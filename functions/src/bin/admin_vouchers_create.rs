//! The Lambda binary for [`functions::admin::admin_vouchers_create`]. Written by `cargo xtask generate`.

use functions::admin::admin_vouchers_create::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_vouchers_create"), handle)
}
