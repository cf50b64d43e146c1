//! The Lambda binary for [`functions::openai::completions`]. Written by `cargo xtask generate`.

use functions::openai::completions::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("completions"), handle)
}
