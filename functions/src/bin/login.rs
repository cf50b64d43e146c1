//! The Lambda binary of [`functions::login`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::login::handle)
}
