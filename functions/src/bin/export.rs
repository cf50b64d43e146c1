//! The Lambda binary of [`functions::export`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::export::handle)
}
