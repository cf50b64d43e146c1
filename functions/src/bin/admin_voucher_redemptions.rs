//! The Lambda binary for [`functions::admin::admin_voucher_redemptions`]. Written by `cargo xtask generate`.

use functions::admin::admin_voucher_redemptions::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_voucher_redemptions"), handle)
}
