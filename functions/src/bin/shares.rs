//! The Lambda binary for [`functions::sharing::shares`]. Written by `cargo xtask generate`.

use functions::sharing::shares::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("shares"), handle)
}
