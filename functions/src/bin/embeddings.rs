//! The Lambda binary for [`functions::openai::embeddings`]. Written by `cargo xtask generate`.

use functions::openai::embeddings::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("embeddings"), handle)
}
