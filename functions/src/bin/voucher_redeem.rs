//! The Lambda binary for [`functions::account::voucher_redeem`]. Written by `cargo xtask generate`.

use functions::account::voucher_redeem::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("voucher_redeem"), handle)
}
