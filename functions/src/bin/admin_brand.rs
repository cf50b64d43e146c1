//! The Lambda binary for [`functions::admin::admin_brand`]. Written by `cargo xtask generate`.

use functions::admin::admin_brand::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_brand"), handle)
}
