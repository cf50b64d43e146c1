//! The Lambda binary of [`functions::completions`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::completions::handle)
}
