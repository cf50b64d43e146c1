//! The Lambda binary for [`functions::anthropic::messages`]. Written by `cargo xtask generate`.

use functions::anthropic::messages::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::routes_of!("messages"), handle)
}
