//! The Lambda binary for [`functions::service::stripe_webhook`]. Written by `cargo xtask generate`.

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::service::stripe_webhook::handle)
}
