//! The Lambda binary for [`functions::anthropic::count_tokens`]. Written by `cargo xtask generate`.

use functions::anthropic::count_tokens::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("count_tokens"), handle)
}
