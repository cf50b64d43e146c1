//! The Lambda binary for [`functions::service::discovery`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::service::discovery::handle)
}
