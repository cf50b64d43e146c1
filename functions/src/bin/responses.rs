//! The Lambda binary of [`functions::responses`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::responses::handle)
}
