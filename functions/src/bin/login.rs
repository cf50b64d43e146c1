//! The Lambda binary of [`functions::login`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_issuing(functions::ROUTES, functions::login::handle)
}
