//! The Lambda binary for [`functions::auth::email_resend`]. Written by `cargo xtask generate`.

use functions::auth::email_resend::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("email_resend"), handle)
}
