//! The Lambda binary for [`functions::pages::brand`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::pages::brand::handle)
}
