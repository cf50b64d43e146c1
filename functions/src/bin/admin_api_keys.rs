//! The Lambda binary of [`functions::admin_api_keys`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_api_keys::handle)
}
