//! The Lambda binary for [`functions::openai::models`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::openai::models::handle)
}
