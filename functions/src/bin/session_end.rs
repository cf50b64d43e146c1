//! The Lambda binary for [`functions::auth::session_end`]. Written by `cargo xtask generate`.

use functions::auth::session_end::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("session_end"), handle)
}
