//! The Lambda binary of [`functions::email_resend`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::email_resend::handle)
}
