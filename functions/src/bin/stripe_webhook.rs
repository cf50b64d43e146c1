//! The Lambda binary for [`functions::service::stripe_webhook`]. Written by `cargo xtask generate`.

use functions::service::stripe_webhook::handle;

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::routes_of!("stripe_webhook"), handle)
}
