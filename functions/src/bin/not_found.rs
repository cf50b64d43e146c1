//! The Lambda binary for [`functions::pages::not_found`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::pages::not_found::handle)
}
