//! The Lambda binary for [`functions::account::profile_change`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::profile_change::handle)
}
