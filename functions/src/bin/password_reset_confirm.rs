//! The Lambda binary for [`functions::auth::password_reset_confirm`]. Written by `cargo xtask generate`.

use functions::auth::password_reset_confirm::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("password_reset_confirm"), handle)
}
