//! The Lambda binary for [`functions::pages::not_found`]. Written by `cargo xtask generate`.

use functions::pages::not_found::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("not_found"), handle)
}
