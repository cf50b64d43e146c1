//! The Lambda binary for [`functions::admin::admin_sessions_end`]. Written by `cargo xtask generate`.

use functions::admin::admin_sessions_end::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_sessions_end"), handle)
}
