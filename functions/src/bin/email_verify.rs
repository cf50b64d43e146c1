//! The Lambda binary for [`functions::auth::email_verify`]. Written by `cargo xtask generate`.

use functions::auth::email_verify::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("email_verify"), handle)
}
