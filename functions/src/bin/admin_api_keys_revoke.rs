//! The Lambda binary of [`functions::admin_api_keys_revoke`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_api_keys_revoke::handle)
}
