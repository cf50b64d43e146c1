//! The Lambda binary for [`functions::openai::embeddings`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::openai::embeddings::handle)
}
