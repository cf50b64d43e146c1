//! The Lambda binary for [`functions::auth::register`]. Written by `cargo xtask generate`.

use functions::auth::register::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("register"), handle)
}
