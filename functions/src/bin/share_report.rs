//! The Lambda binary for [`functions::sharing::share_report`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::sharing::share_report::handle)
}
