//! The Lambda binary for [`functions::anthropic::messages`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve_streaming(functions::ROUTES, functions::anthropic::messages::handle)
}
