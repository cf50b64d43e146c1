//! The Lambda binary for [`functions::account::purchases`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::purchases::handle)
}
