//! The Lambda binary for [`functions::auth::password_reset_confirm`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::password_reset_confirm::handle)
}
