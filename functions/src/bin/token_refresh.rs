//! The Lambda binary of [`functions::token_refresh`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::token_refresh::handle)
}
