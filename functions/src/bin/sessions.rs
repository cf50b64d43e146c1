//! The Lambda binary for [`functions::auth::sessions`]. Written by `cargo xtask generate`.

use functions::auth::sessions::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("sessions"), handle)
}
