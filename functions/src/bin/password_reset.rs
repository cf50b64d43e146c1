//! The Lambda binary for [`functions::auth::password_reset`]. Written by `cargo xtask generate`.

use functions::auth::password_reset::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("password_reset"), handle)
}
