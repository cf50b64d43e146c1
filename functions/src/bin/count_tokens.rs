//! The Lambda binary for [`functions::anthropic::count_tokens`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::anthropic::count_tokens::handle)
}
