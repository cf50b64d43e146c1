//! The Lambda binary for [`functions::openai::text_completions`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::openai::text_completions::handle)
}
