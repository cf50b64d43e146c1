//! The Lambda binary for [`functions::admin::admin_purchases`]. Written by `cargo xtask generate`.

use functions::admin::admin_purchases::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_purchases"), handle)
}
