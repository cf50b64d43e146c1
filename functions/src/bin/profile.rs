//! The Lambda binary for [`functions::account::profile`]. Written by `cargo xtask generate`.

use functions::account::profile::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("profile"), handle)
}
