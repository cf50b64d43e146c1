//! The Lambda binary of [`functions::password_reset`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::password_reset::handle)
}
