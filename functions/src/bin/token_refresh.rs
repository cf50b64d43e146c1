//! The Lambda binary for [`functions::auth::token_refresh`]. Written by `cargo xtask generate`.

use functions::auth::token_refresh::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("token_refresh"), handle)
}
