//! The Lambda binary for [`functions::admin::admin_models`]. Written by `cargo xtask generate`.

use functions::admin::admin_models::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_models"), handle)
}
