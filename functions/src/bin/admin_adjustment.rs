//! The Lambda binary for [`functions::admin::admin_adjustment`]. Written by `cargo xtask generate`.

use functions::admin::admin_adjustment::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_adjustment"), handle)
}
