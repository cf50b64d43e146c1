//! The Lambda binary for [`functions::service::health`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::service::health::handle)
}
