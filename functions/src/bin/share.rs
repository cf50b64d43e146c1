//! The Lambda binary for [`functions::sharing::share`]. Written by `cargo xtask generate`.

use functions::sharing::share::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("share"), handle)
}
