//! The Lambda binary of [`functions::token_refresh`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve_issuing(functions::ROUTES, functions::token_refresh::handle)
}
