//! The Lambda binary for [`functions::pages::site`]. Written by `cargo xtask generate`.

use functions::pages::site::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("site"), handle)
}
