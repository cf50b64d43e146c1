//! The Lambda binary of [`functions::auth::password_reset`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::password_reset::handle)
}
