//! The Lambda binary for [`functions::service::discovery`]. Written by `cargo xtask generate`.

use functions::service::discovery::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("discovery"), handle)
}
