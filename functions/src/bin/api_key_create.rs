//! The Lambda binary for [`functions::account::api_key_create`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::api_key_create::handle)
}
