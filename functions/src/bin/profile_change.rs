//! The Lambda binary for [`functions::account::profile_change`]. Written by `cargo xtask generate`.

use functions::account::profile_change::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("profile_change"), handle)
}
