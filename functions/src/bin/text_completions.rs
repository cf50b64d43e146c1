//! The Lambda binary for [`functions::openai::text_completions`]. Written by `cargo xtask generate`.

use functions::openai::text_completions::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("text_completions"), handle)
}
