//! The Lambda binary for [`functions::auth::logout`]. Written by `cargo xtask generate`.

use functions::auth::logout::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("logout"), handle)
}
