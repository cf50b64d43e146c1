//! The Lambda binary for [`functions::admin::admin_vouchers_void`]. Written by `cargo xtask generate`.

use functions::admin::admin_vouchers_void::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_vouchers_void"), handle)
}
