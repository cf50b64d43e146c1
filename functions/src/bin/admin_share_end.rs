//! The Lambda binary for [`functions::admin::admin_share_end`]. Written by `cargo xtask generate`.

use functions::admin::admin_share_end::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_share_end"), handle)
}
