//! The Lambda binary for [`functions::service::jwks`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::service::jwks::handle)
}
