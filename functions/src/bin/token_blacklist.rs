//! The Lambda binary of [`functions::token_blacklist`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::token_blacklist::handle)
}
