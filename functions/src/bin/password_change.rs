//! The Lambda binary of [`functions::password_change`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::password_change::handle)
}
