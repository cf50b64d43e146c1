//! The Lambda binary for [`functions::account::purchase_create`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::account::purchase_create::handle)
}
