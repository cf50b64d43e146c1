//! The Lambda binary of [`functions::site`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_cold(functions::ROUTES, functions::site::handle)
}
