//! The Lambda binary for [`functions::auth::register`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::register::handle)
}
