//! The Lambda binary for [`functions::auth::email_resend`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::email_resend::handle)
}
