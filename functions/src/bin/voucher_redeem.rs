//! The Lambda binary for [`functions::account::voucher_redeem`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::voucher_redeem::handle)
}
