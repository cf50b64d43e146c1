//! The Lambda binary for [`functions::account::profile`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::profile::handle)
}
