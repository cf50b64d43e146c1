//! The Lambda binary for [`functions::sharing::share_create`]. Written by `cargo xtask generate`.

use functions::sharing::share_create::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("share_create"), handle)
}
