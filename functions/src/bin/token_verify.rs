//! The Lambda binary of [`functions::token_verify`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::token_verify::handle)
}
