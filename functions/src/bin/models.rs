//! The Lambda binary for [`functions::openai::models`]. Written by `cargo xtask generate`.

use functions::openai::models::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("models"), handle)
}
