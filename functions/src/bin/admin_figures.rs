//! The Lambda binary for [`functions::admin::admin_figures`]. Written by `cargo xtask generate`.

use functions::admin::admin_figures::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_figures"), handle)
}
