//! The Lambda binary for [`functions::auth::session_end`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::auth::session_end::handle)
}
