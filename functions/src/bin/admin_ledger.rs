//! The Lambda binary for [`functions::admin::admin_ledger`]. Written by `cargo xtask generate`.

use functions::admin::admin_ledger::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_ledger"), handle)
}
