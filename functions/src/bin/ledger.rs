//! The Lambda binary for [`functions::account::ledger`]. Written by `cargo xtask generate`.

use functions::account::ledger::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("ledger"), handle)
}
