//! The Lambda binary for [`functions::auth::login`]. Written by `cargo xtask generate`.

use functions::auth::login::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("login"), handle)
}
