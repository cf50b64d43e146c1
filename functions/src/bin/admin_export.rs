//! The Lambda binary of [`functions::admin_export`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::admin_export::handle)
}
