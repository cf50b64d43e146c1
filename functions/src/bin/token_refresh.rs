//! The Lambda binary for [`functions::auth::token_refresh`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::token_refresh::handle)
}
