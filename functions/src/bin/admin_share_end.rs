//! The Lambda binary for [`functions::admin::admin_share_end`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin::admin_share_end::handle)
}
