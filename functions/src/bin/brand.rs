//! The Lambda binary for [`functions::pages::brand`]. Written by `cargo xtask generate`.

use functions::pages::brand::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("brand"), handle)
}
