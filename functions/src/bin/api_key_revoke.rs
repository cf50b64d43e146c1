//! The Lambda binary of [`functions::api_key_revoke`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::api_key_revoke::handle)
}
