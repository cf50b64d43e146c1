//! The Lambda binary for [`functions::pages::site`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::pages::site::handle)
}
