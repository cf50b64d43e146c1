//! The Lambda binary for [`functions::admin::admin_brand_change`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin::admin_brand_change::handle)
}
