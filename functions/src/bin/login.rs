//! The Lambda binary for [`functions::auth::login`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::login::handle)
}
