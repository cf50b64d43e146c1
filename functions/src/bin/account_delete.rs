//! The Lambda binary for [`functions::account::account_delete`]. Written by `cargo xtask generate`.

use functions::account::account_delete::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("account_delete"), handle)
}
