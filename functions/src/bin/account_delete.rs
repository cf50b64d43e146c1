//! The Lambda binary for [`functions::account::account_delete`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::account_delete::handle)
}
