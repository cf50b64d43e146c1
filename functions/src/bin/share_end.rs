//! The Lambda binary for [`functions::sharing::share_end`]. Written by `cargo xtask generate`.

use functions::sharing::share_end::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("share_end"), handle)
}
