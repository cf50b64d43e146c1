//! The Lambda binary of [`functions::register`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::register::handle)
}
