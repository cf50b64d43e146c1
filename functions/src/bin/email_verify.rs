//! The Lambda binary for [`functions::auth::email_verify`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::email_verify::handle)
}
