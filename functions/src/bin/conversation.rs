//! The Lambda binary of [`functions::conversation`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::conversation::handle)
}
