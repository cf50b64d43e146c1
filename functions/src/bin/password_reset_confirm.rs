//! The Lambda binary of [`functions::password_reset_confirm`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::password_reset_confirm::handle)
}
