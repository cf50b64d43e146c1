//! The Lambda binary of [`functions::logout`].

fn main() -> std::process::ExitCode {
    shared::lambda::serve(functions::ROUTES, functions::logout::handle)
}
