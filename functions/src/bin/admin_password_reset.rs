//! The Lambda binary of [`functions::admin_password_reset`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::admin_password_reset::handle)
}
