//! The Lambda binary for [`functions::admin::admin_trail`]. Written by `cargo xtask generate`.

use functions::admin::admin_trail::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_trail"), handle)
}
