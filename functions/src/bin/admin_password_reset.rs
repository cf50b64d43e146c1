//! The Lambda binary for [`functions::admin::admin_password_reset`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin::admin_password_reset::handle)
}
