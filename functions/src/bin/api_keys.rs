//! The Lambda binary of [`functions::api_keys`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::api_keys::handle)
}
