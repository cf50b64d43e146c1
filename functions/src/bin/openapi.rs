//! The Lambda binary for [`functions::service::openapi`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::service::openapi::handle)
}
