//! The Lambda binary for [`functions::auth::password_reset`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::password_reset::handle)
}
