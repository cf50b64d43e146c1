//! The Lambda binary for [`functions::sharing::share_report`]. Written by `cargo xtask generate`.

use functions::sharing::share_report::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("share_report"), handle)
}
