//! The Lambda binary of [`functions::email_verify`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::email_verify::handle)
}
