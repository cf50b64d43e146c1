//! The Lambda binary for [`functions::admin::admin_vouchers`]. Written by `cargo xtask generate`.

use functions::admin::admin_vouchers::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_vouchers"), handle)
}
