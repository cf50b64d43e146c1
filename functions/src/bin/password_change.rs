//! The Lambda binary for [`functions::auth::password_change`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::password_change::handle)
}
