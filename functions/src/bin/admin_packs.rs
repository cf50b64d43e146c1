//! The Lambda binary for [`functions::admin::admin_packs`]. Written by `cargo xtask generate`.

use functions::admin::admin_packs::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_packs"), handle)
}
