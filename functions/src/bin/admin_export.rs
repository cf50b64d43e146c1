//! The Lambda binary for [`functions::admin::admin_export`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::admin::admin_export::handle)
}
