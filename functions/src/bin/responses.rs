//! The Lambda binary for [`functions::openai::responses`]. Written by `cargo xtask generate`.

use functions::openai::responses::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("responses"), handle)
}
