//! The Lambda binary for [`functions::auth::token_verify`]. Written by `cargo xtask generate`.

use functions::auth::token_verify::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("token_verify"), handle)
}
