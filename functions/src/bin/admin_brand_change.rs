//! The Lambda binary for [`functions::admin::admin_brand_change`]. Written by `cargo xtask generate`.

use functions::admin::admin_brand_change::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("admin_brand_change"), handle)
}
