//! The Lambda binary for [`functions::auth::password_change`]. Written by `cargo xtask generate`.

use functions::auth::password_change::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("password_change"), handle)
}
