//! The Lambda binary for [`functions::account::balance`]. Written by `cargo xtask generate`.

use functions::account::balance::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("balance"), handle)
}
