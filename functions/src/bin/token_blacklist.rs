//! The Lambda binary for [`functions::auth::token_blacklist`]. Written by `cargo xtask generate`.

use functions::auth::token_blacklist::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("token_blacklist"), handle)
}
