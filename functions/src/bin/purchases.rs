//! The Lambda binary for [`functions::account::purchases`]. Written by `cargo xtask generate`.

use functions::account::purchases::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("purchases"), handle)
}
