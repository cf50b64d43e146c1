//! The Lambda binary of [`functions::jwks`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::jwks::handle)
}
