//! The Lambda binary for [`functions::account::purchase_create`]. Written by `cargo xtask generate`.

use functions::account::purchase_create::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("purchase_create"), handle)
}
